// Any bytes as a reply of OpenStack: an Error, or values that are what their types say.
#include <cstdint>
#include <string>
#include <string_view>

#include "hamal/platform/openstack/catalog.hpp"
#include "hamal/platform/openstack/machine.hpp"
#include "hamal/platform/openstack/replies.hpp"
#include "hamal/util/error.hpp"

namespace {

void require(bool holds) {
  if (!holds) {
    __builtin_trap();
  }
}

template <typename Parse>
void attempt(Parse parse) {
  try {
    parse();
  } catch (const hamal::Error&) {
  }
}

void require_line(const std::string& text) {
  require(text.find('\n') == std::string::npos && text.size() < 1024);
}

}  // namespace

// NOLINTNEXTLINE: libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hamal::openstack;
  // NOLINTNEXTLINE: bytes are what a socket gives
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  attempt([&] {
    const Token token = parse_token(body, "fuzz");
    attempt([&] {
      require(find_endpoint(token, Service::volume, "", "public", "fuzz").starts_with("http"));
    });
  });
  std::vector<Volume> volumes;
  std::vector<Attachment> attachments;
  attempt([&] {
    volumes = parse_volumes(body, "fuzz").items;
    for (const Volume& one : volumes) {
      require(!one.id.empty() && one.size % (1ULL << 30U) == 0);
    }
  });
  attempt([&] {
    attachments = parse_attachments(body, "fuzz").items;
    for (const Attachment& one : attachments) {
      require(!one.connection || one.connection->driver != "rbd" ||
              (!one.connection->pool.empty() && !one.connection->image.empty()));
    }
  });
  attempt([&] {
    for (const Server& one : parse_servers(body, "fuzz").items) {
      const Machine machine = machine_of(one, volumes, attachments);
      require(machine.disks.size() >= one.volumes.size());
      describe(machine, Settings{});
      hardware_of(machine);
    }
  });
  attempt([&] {
    for (const VolumeSnapshot& one : parse_snapshots(body, "fuzz").items) {
      require(!one.id.empty() && !one.status.empty());
    }
  });
  attempt([&] { parse_server(body, "fuzz"); });
  attempt([&] { parse_volume(body, "fuzz"); });
  attempt([&] { parse_snapshot(body, "fuzz"); });
  attempt([&] { parse_quotas(body, "fuzz"); });
  attempt([&] { require_line(parse_message(body, "fuzz")); });
  require_line(refusal_words(body));
  if (const auto version = newest_microversion(body)) {
    require(version->find('.') != std::string::npos);
    is_older_microversion(*version, "3.27");
  }
  return 0;
}
