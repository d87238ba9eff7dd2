// Any bytes as the lines of a QMP monitor, and as its description of the block graph.
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "hamal/platform/qemu/inventory.hpp"
#include "hamal/platform/qemu/names.hpp"
#include "hamal/util/error.hpp"

namespace {

/// Three lines that are lists or objects: nodes, graph, exports and devices alike.
void describe(const hamal::qemu::Json& nodes, const hamal::qemu::Json& graph,
              const hamal::qemu::Json& users) {
  const hamal::qemu::BlockGraph parsed(nodes, graph, "fuzz");
  for (const auto& disk : hamal::qemu::find_disks(parsed, users, users, "fuzz")) {
    // What may be frozen names nodes that exist.
    if (disk.protectable) {
      parsed.at(disk.format);
      parsed.at(disk.below);
    }
  }
}

}  // namespace

// NOLINTNEXTLINE: libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // NOLINTNEXTLINE: bytes are what a socket gives
  std::string_view input(reinterpret_cast<const char*>(data), size);
  hamal::qemu::Json replies[3];
  for (auto& reply : replies) {
    const std::size_t end = input.find('\n');
    const std::string_view line = input.substr(0, end);
    input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
    hamal::qemu::parse_owned_name(line);
    hamal::qemu::parse_bitmap_name(line);
    try {
      auto message = hamal::qemu::parse_qmp_message(line, "fuzz");
      if (auto* value = std::get_if<hamal::qemu::QmpReturn>(&message)) {
        reply = std::move(value->value);
      }
    } catch (const hamal::Error&) {
    }
  }
  try {
    describe(replies[0], replies[1], replies[2]);
  } catch (const hamal::Error&) {
  }
  return 0;
}
