// Any bytes as a reply of vSphere: an Error, or an element; as changed areas and as devices, an
// Error or values that are what their types say.
#include <cstdint>
#include <string_view>

#include "hamal/platform/vmware/changed_areas.hpp"
#include "hamal/platform/vmware/machine.hpp"
#include "hamal/platform/vmware/vim_reply.hpp"

// NOLINTNEXTLINE: libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hamal::vmware;
  XmlElement reply;
  try {
    // NOLINTNEXTLINE: bytes are what a socket gives
    reply = parse_vim_reply({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const hamal::Error&) {
    return 0;
  }
  try {
    AreasWanted wanted;
    wanted.size = 1U << 20U;
    const AreasAnswer answer = parse_areas(reply, 0, wanted);
    std::uint64_t at = 0;
    for (const hamal::Extent& extent : answer.extents) {
      if (extent.offset < at || extent.length == 0 || extent.end() > answer.length) {
        __builtin_trap();
      }
      at = extent.end();
    }
    if (answer.length == 0 || answer.length > wanted.size) {
      __builtin_trap();
    }
  } catch (const hamal::Error&) {
  }
  try {
    disks_of(reply);
  } catch (const hamal::Error&) {
  }
  return 0;
}
