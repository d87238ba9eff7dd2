// Records of the data stream made by hand from hamal-stream(5), not by the writer under test.
#pragma once
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdint>
#include <string>

namespace hamal::test {

template <typename Number>
std::string little_endian(Number value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    bytes += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  }
  return bytes;
}

inline std::string u32(std::uint32_t value) {
  return little_endian(value);
}
inline std::string u64(std::uint64_t value) {
  return little_endian(value);
}

inline std::string record(const std::string& tag, const std::string& payload) {
  const std::string start = tag + u32(static_cast<std::uint32_t>(payload.size()));
  const std::string hashed = start + payload;
  return start + u64(XXH3_64bits(hashed.data(), hashed.size())) + payload;
}

}  // namespace hamal::test
