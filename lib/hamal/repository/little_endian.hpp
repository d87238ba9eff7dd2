// Numbers in the bytes of packs, least significant byte first. Private to this folder.
#pragma once
#include <concepts>
#include <cstddef>
#include <span>

namespace hamal::repository {

/// `into` begins where the number does and has room for it.
template <std::unsigned_integral Number>
void put_number(std::span<std::byte> into, Number number) {
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    into[i] = static_cast<std::byte>(number >> (8 * i));
  }
}

template <std::unsigned_integral Number>
Number get_number(std::span<const std::byte> from) {
  Number number = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    number = static_cast<Number>(number |
                                 static_cast<Number>(std::to_integer<Number>(from[i]) << (8 * i)));
  }
  return number;
}

}  // namespace hamal::repository
