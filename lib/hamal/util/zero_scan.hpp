// Finding zeros in what was read, so that they are never stored as data.
#pragma once
#include <cstddef>
#include <cstring>
#include <span>

namespace hamal {

inline bool is_zero(std::span<const std::byte> bytes) noexcept {
  constexpr std::size_t k_probe = 16;
  const std::size_t probe = bytes.size() < k_probe ? bytes.size() : k_probe;
  for (std::size_t i = 0; i < probe; ++i) {
    if (bytes[i] != std::byte{0}) {
      return false;
    }
  }
  // All equal to their neighbour, and the first is zero; memcmp is the fastest loop there is.
  return bytes.size() <= k_probe ||
         std::memcmp(bytes.data(), bytes.data() + k_probe, bytes.size() - k_probe) == 0;
}

/// Calls visit(begin, length, zero) for the maximal runs of zero and non-zero blocks of
/// `granularity` bytes; zero runs shorter than `min_zero` count as data (a write is cheaper than
/// splitting it).
template <typename Visit>
void for_each_run(std::span<const std::byte> bytes, std::size_t granularity, std::size_t min_zero,
                  Visit visit) {
  std::size_t data_begin = 0;
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::size_t zero_begin = at;
    while (at < bytes.size()) {
      const std::size_t step = bytes.size() - at < granularity ? bytes.size() - at : granularity;
      if (!is_zero(bytes.subspan(at, step))) {
        break;
      }
      at += step;
    }
    if (at - zero_begin >= min_zero && at > zero_begin) {
      if (zero_begin > data_begin) {
        visit(data_begin, zero_begin - data_begin, false);
      }
      visit(zero_begin, at - zero_begin, true);
      data_begin = at;
    }
    if (at < bytes.size()) {
      at += bytes.size() - at < granularity ? bytes.size() - at : granularity;
    }
  }
  if (bytes.size() > data_begin) {
    visit(data_begin, bytes.size() - data_begin, false);
  }
}

}  // namespace hamal
