// The numbers of the data stream (hamal-stream(5), DATA STREAM). Private to stream/.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "hamal/extent/extent.hpp"
#include "hamal/stream/data_stream.hpp"

namespace hamal::data_format {

inline constexpr unsigned char k_version = 1;
/// Tag, length, checksum.
inline constexpr std::size_t k_record_header = 16;
inline constexpr std::size_t k_length_offset = 4;
inline constexpr std::size_t k_checksum_offset = 8;
/// Disk, 0, offset: what comes before the bytes of DATA.
inline constexpr std::size_t k_data_prefix = 16;
inline constexpr std::size_t k_zero_size = 24;
/// Disk, count; then the extents.
inline constexpr std::size_t k_plan_prefix = 8;
inline constexpr std::size_t k_plan_extent = 16;
inline constexpr std::size_t k_max_plan_extents = 4096;
inline constexpr std::size_t k_max_fail = 65536;
/// Of a length in PLAN: the extent is zero.
inline constexpr std::uint64_t k_zero_bit = std::uint64_t{1} << 63;

inline constexpr std::string_view k_head = "HEAD";
inline constexpr std::string_view k_plan = "PLAN";
inline constexpr std::string_view k_data = "DATA";
inline constexpr std::string_view k_zero = "ZERO";
inline constexpr std::string_view k_done = "DONE";
inline constexpr std::string_view k_fail = "FAIL";

template <typename Number>
void put(char* to, Number value) noexcept {
  for (std::size_t i = 0; i < sizeof value; ++i) {
    to[i] = static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  }
}

template <typename Number>
Number get(const char* from) noexcept {
  Number value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    value |= static_cast<Number>(static_cast<unsigned char>(from[i])) << (8 * i);
  }
  return value;
}

}  // namespace hamal::data_format
