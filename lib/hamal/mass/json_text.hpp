// Writing JSON that keeps the contract's limits. Private to this folder.
#pragma once
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

namespace hamal::mass {

using Json = nlohmann::ordered_json;

// Characters, of which bytes are never fewer.
inline constexpr std::size_t k_longest_name = 1024;
inline constexpr std::size_t k_longest_text = 4096;

/// At most so many bytes, not within a character of UTF-8.
inline std::string clipped(std::string text, std::size_t most) {
  if (text.size() > most) {
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0U) == 0x80U) {
      --most;
    }
    text.resize(most);
  }
  return text;
}

/// The contract's Name is never empty.
inline std::string name_text(const std::string& text) {
  return text.empty() ? "-" : clipped(text, k_longest_name);
}

inline std::string dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace hamal::mass
