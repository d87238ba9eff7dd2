// Any bytes as a reply of the console: an Error, or values that are what their types say.
#include <cstdint>
#include <string>
#include <string_view>

#include "hamal/mass/replies.hpp"
#include "hamal/mass/settings.hpp"
#include "hamal/mass/tasks.hpp"
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

}  // namespace

// NOLINTNEXTLINE: libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // NOLINTNEXTLINE: bytes are what a socket gives
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  hamal::mass::parse_problem(body);
  attempt([&] { hamal::mass::parse_registered(body); });
  attempt([&] { require(hamal::is_ip_address(hamal::mass::parse_seen_address(body))); });
  attempt([&] {
    const auto reply = hamal::mass::parse_heartbeat_reply(body);
    require(!reply.log_request || hamal::mass::is_id(reply.log_request->id));
  });
  attempt([&] {
    const auto mappings = hamal::mass::parse_host_mappings(body);
    require(hamal::parse_host_mapping_lines(hamal::host_mapping_lines(mappings), "fuzz") ==
            mappings);
  });
  attempt([&] {
    for (const auto& entry : hamal::mass::parse_tasks(body).entries) {
      require(hamal::mass::is_id(entry.id) && entry.task.has_value() == entry.problem.empty());
    }
  });
  attempt([&] { hamal::parse_host_mapping_lines(body, "fuzz"); });
  return 0;
}
