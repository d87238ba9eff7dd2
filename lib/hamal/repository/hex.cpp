#include "hamal/repository/hex.hpp"

namespace hamal::repository {
namespace {

std::optional<unsigned> digit(char c, char first_letter) {
  if (c >= '0' && c <= '9') {
    return static_cast<unsigned>(c - '0');
  }
  if (c >= first_letter && c <= first_letter + 5) {
    return static_cast<unsigned>(c - first_letter) + 10;
  }
  return std::nullopt;
}

}  // namespace

std::string hex_text(std::span<const std::byte> bytes) {
  static constexpr const char* k_digits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    text += k_digits[std::to_integer<unsigned>(byte) >> 4U];
    text += k_digits[std::to_integer<unsigned>(byte) & 15U];
  }
  return text;
}

std::optional<std::byte> hex_byte(char high, char low, char first_letter) {
  const auto h = digit(high, first_letter);
  const auto l = digit(low, first_letter);
  if (!h || !l) {
    return std::nullopt;
  }
  return static_cast<std::byte>(*h << 4U | *l);
}

bool parse_hex(std::string_view text, std::span<std::byte> into) {
  if (text.size() != 2 * into.size()) {
    return false;
  }
  for (std::size_t i = 0; i < into.size(); ++i) {
    const auto byte = hex_byte(text[2 * i], text[2 * i + 1]);
    if (!byte) {
      return false;
    }
    into[i] = *byte;
  }
  return true;
}

}  // namespace hamal::repository
