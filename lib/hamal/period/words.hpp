// Splitting the small texts of [job NAME].
#pragma once
#include <string_view>
#include <vector>

#include "hamal/util/text.hpp"

namespace hamal::period {

/// The parts between the separators, trimmed; an empty text has one empty part.
inline std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.push_back(trim(text.substr(0, at)));
    if (at == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(at + 1);
  }
}

/// What white space separates.
inline std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  for (const std::string_view part : split(text, ' ')) {
    if (!part.empty()) {
      found.push_back(part);
    }
  }
  return found;
}

}  // namespace hamal::period
