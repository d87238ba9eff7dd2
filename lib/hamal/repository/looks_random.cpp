// The sum of the squared counts of n equally frequent byte values is about n + n(n-1)/256, with a
// standard deviation of n/sqrt(128): half a percent of it for n = 4096. Anything that zstd could
// save a sixteenth of by its entropy is far above; what it could save by matches alone, of bytes
// that are random otherwise, begins as a rule with a block that is there twice.
#include "hamal/repository/looks_random.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace hamal::repository {
namespace {

constexpr std::size_t k_block = 4096;
constexpr std::size_t k_sample = 256;  // of each block
constexpr std::size_t k_min_blocks = 8;
constexpr std::size_t k_max_blocks = 16;  // of a record

std::uint64_t word_at(ByteView bytes, std::size_t offset) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, &bytes[offset], sizeof word);
  return word;
}

}  // namespace

bool looks_random(ByteView bytes) noexcept {
  const std::size_t blocks = std::min(bytes.size() / k_block, k_max_blocks);
  if (blocks < k_min_blocks) {
    return false;
  }
  std::array<std::uint64_t, k_max_blocks> begins{};
  // Two tables, so that equal neighbours do not wait for each other.
  std::array<std::uint32_t, 256> even{};
  std::array<std::uint32_t, 256> odd{};
  for (std::size_t block = 0; block < blocks; ++block) {
    begins[block] = word_at(bytes, block * k_block);
    const ByteView sample = bytes.subspan(block * k_block, k_sample);
    for (std::size_t i = 0; i < k_sample; i += 2) {
      ++even[std::to_integer<std::size_t>(sample[i])];
      ++odd[std::to_integer<std::size_t>(sample[i + 1])];
    }
  }
  std::uint64_t squares = 0;
  for (std::size_t value = 0; value < even.size(); ++value) {
    const std::uint64_t count = std::uint64_t{even[value]} + odd[value];
    squares += count * count;
  }
  const std::uint64_t n = blocks * k_sample;
  const std::uint64_t expected = n + n * (n - 1) / 256;
  if (squares > expected + expected / 20) {
    return false;
  }
  const auto end = begins.begin() + static_cast<std::ptrdiff_t>(blocks);
  std::sort(begins.begin(), end);
  return std::adjacent_find(begins.begin(), end) == end;
}

}  // namespace hamal::repository
