// Numbers and bytes of index objects: appended, and taken with every bound checked. Private to this
// folder.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "hamal/repository/keyring.hpp"
#include "hamal/repository/little_endian.hpp"
#include "hamal/util/error.hpp"

namespace hamal::repository {

template <std::unsigned_integral Number>
void append_number(Bytes& to, Number number) {
  to.resize(to.size() + sizeof(Number));
  put_number(std::span(to).last(sizeof(Number)), number);
}

inline void append_varint(Bytes& to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) {
    to.push_back(static_cast<std::byte>(value | 0x80));
  }
  to.push_back(static_cast<std::byte>(value));
}

inline void append_bytes(Bytes& to, ByteView bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

/// Small differences of either sign as small numbers.
inline std::uint64_t zigzag(std::uint64_t difference) noexcept {
  return (difference << 1) ^ (0 - (difference >> 63));
}
inline std::uint64_t unzigzag(std::uint64_t number) noexcept {
  return (number >> 1) ^ (0 - (number & 1));
}

/// Takes from the front. Throws a permanent Error about `object` when there is not enough.
class ByteParser {
 public:
  ByteParser(ByteView bytes, const std::string& object) : m_bytes(bytes), m_object(object) {}

  std::size_t left() const noexcept { return m_bytes.size(); }
  ByteView take(std::uint64_t count) {
    if (count > m_bytes.size()) {
      refuse("ends in the middle");
    }
    const ByteView front = m_bytes.first(static_cast<std::size_t>(count));
    m_bytes = m_bytes.subspan(front.size());
    return front;
  }
  template <typename Number>
  Number number() {
    return get_number<Number>(take(sizeof(Number)));
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto part = std::to_integer<std::uint64_t>(take(1).front());
      if (shift == 63 && part > 1) {
        break;
      }
      value |= (part & 0x7f) << shift;
      if ((part & 0x80) == 0) {
        return value;
      }
    }
    refuse("holds a number of more than 64 bits");
  }
  template <typename Array>
  Array array() {
    Array value;
    const ByteView bytes = take(value.size());
    std::memcpy(value.data(), bytes.data(), bytes.size());
    return value;
  }
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorKind::failed, what, m_object, "hamal-repo verify says which versions suffer");
  }

 private:
  ByteView m_bytes;
  const std::string& m_object;
};

}  // namespace hamal::repository
