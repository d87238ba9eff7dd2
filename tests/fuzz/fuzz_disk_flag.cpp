// Parses arbitrary bytes as the disk flag of a checkpoint; what is accepted is written again as it
// was read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "hamal/sync/disk_flag.hpp"
#include "hamal/util/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  constexpr std::uint64_t k_disk = 1ULL << 40;
  for (const std::string& one : {text, "v1 " + text}) {
    try {
      const auto samples = hamal::parse_disk_flag(one, k_disk, "fuzz");
      if (hamal::to_text(samples) != one) {
        std::abort();
      }
      for (const auto& sample : samples) {
        if (sample.offset >= k_disk || sample.hash.size() != 32) {
          std::abort();
        }
      }
    } catch (const hamal::Error&) {
      continue;
    }
  }
  return 0;
}
