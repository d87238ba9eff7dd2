// The numbers of the spool's format, for its writer and its reader.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hamal::spool_format {

inline constexpr std::string_view k_magic{"HAMALSP\x01", 8};
/// The last byte of the magic.
inline constexpr unsigned char k_version = 1;
inline constexpr std::string_view k_footer_magic{"HAMALSPE", 8};
inline constexpr std::size_t k_header_size = 16;
/// Four counts, the checksum, the magic.
inline constexpr std::size_t k_checksum_offset = 32;
inline constexpr std::size_t k_footer_size = 48;
/// Two varints of up to 63 and 64 bits.
inline constexpr std::size_t k_max_record = 20;

inline void put_u64(char* to, std::uint64_t value) noexcept {
  for (unsigned i = 0; i < 8; ++i) {
    to[i] = static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  }
}

inline std::uint64_t get_u64(const char* from) noexcept {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < 8; ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(from[i])} << (8 * i);
  }
  return value;
}

}  // namespace hamal::spool_format
