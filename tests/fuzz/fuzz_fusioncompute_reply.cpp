// Any bytes as a reply of a VRM, or as what a socket says in hamal's codec: an Error, or values
// that are what their types say. The first byte chooses.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "hamal/platform/fusioncompute/change_id.hpp"
#include "hamal/platform/fusioncompute/changed_blocks.hpp"
#include "hamal/platform/fusioncompute/vna_codec.hpp"
#include "hamal/platform/fusioncompute/vrm_reply.hpp"

namespace {

using namespace hamal::fusioncompute;

class Said final : public hamal::ByteStream {
 public:
  explicit Said(std::string_view bytes) : m_bytes(bytes) {}
  void write(std::span<const std::byte>) override {}
  void read(std::span<std::byte> into) override {
    if (into.size() > m_bytes.size()) {
      throw hamal::Error(hamal::ErrorKind::failed, "cut");
    }
    std::copy_n(std::as_bytes(std::span(m_bytes)).begin(), into.size(), into.begin());
    m_bytes.remove_prefix(into.size());
  }
  bool peer_has_closed() const override { return m_bytes.empty(); }

 private:
  std::string_view m_bytes;
};

void changed(std::string_view body) {
  constexpr std::uint64_t k_asked = 1024;
  ChangesWanted wanted;
  wanted.size = 512 * 3001;
  const ChangedPage page = parse_changed(body, k_asked, "fuzz");
  for (const std::uint64_t first : {0U, 1024U, 2048U}) {
    std::uint64_t at = 0;
    for (const hamal::Extent& extent : extents_of(page, first, k_asked, wanted)) {
      if (extent.offset < at || extent.length == 0 || extent.end() > wanted.size) {
        __builtin_trap();
      }
      at = extent.end();
    }
  }
}

void change_id(std::string_view text) {
  if (const auto id = parse_change_id(text); id && parse_change_id(to_string(*id)) != id) {
    __builtin_trap();
  }
}

void socket(std::string_view bytes) {
  Said stream(bytes);
  const auto codec = make_project_codec("fuzz");
  codec->open(stream, "token");
  std::byte into[64];
  codec->read(stream, 0, into);
  codec->close(stream);
}

}  // namespace

// NOLINTNEXTLINE: libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  // NOLINTNEXTLINE: bytes are what a socket gives
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string call = "fuzz";
  try {
    switch (data[0] % 14) {
      case 0:
        parse_versions(body, call);
        break;
      case 1:
        parse_validity(body, call);
        break;
      case 2:
        parse_places(body, "sites", call);
        break;
      case 3:
        parse_vm_page(body, call);
        break;
      case 4:
        parse_machine(body, call);
        break;
      case 5:
        parse_volume(body, call);
        break;
      case 6:
        parse_snapshots(body, call);
        break;
      case 7:
        parse_snapshot(body, call);
        break;
      case 8:
        parse_started(body, call);
        parse_task(body, call);
        break;
      case 9:
        changed(body);
        break;
      case 10:
        parse_resource(body, call);
        break;
      case 11:
        throw_refusal(body, 500, call);
      case 12:
        change_id(body);
        break;
      default:
        socket(body);
    }
  } catch (const hamal::Error&) {  // NOLINT: as it should be
  }
  return 0;
}
