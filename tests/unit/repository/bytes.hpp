// Bytes for tests of records: random, compressible, flipped.
#pragma once
#include <cstdint>
#include <random>
#include <string_view>

#include "hamal/repository/keyring.hpp"

namespace hamal::repository {

inline Bytes random_bytes(std::size_t size, unsigned seed = 1) {
  std::mt19937_64 generator(seed);
  Bytes bytes(size);
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>(generator() & 0xff);
  }
  return bytes;
}

inline Bytes compressible_bytes(std::size_t size, unsigned seed = 1) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>("the same again "[(i + seed) % 15]);
  }
  return bytes;
}

inline Bytes to_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return {bytes.begin(), bytes.end()};
}

inline Bytes flipped(Bytes bytes, std::size_t at, unsigned bit) {
  bytes.at(at) ^= static_cast<std::byte>(1U << bit);
  return bytes;
}

}  // namespace hamal::repository
