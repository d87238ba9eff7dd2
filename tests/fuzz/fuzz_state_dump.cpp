// Parses arbitrary bytes as an exported state; what is accepted must survive being written and
// parsed again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hamal/state/state_dump.hpp"
#include "hamal/util/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  hamal::StateDump dump;
  try {
    dump = hamal::parse_state_dump(text, "fuzz");
  } catch (const hamal::Error&) {
    return 0;
  }
  if (hamal::parse_state_dump(hamal::to_json(dump), "again") != dump) {
    std::abort();
  }
  return 0;
}
