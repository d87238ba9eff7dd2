// Fields that several replies have. Private to this folder, for .cpp files.
#pragma once
#include <fmt/core.h>

#include <chrono>
#include <cstddef>

#include "hamal/json/strict_json.hpp"
#include "hamal/util/time.hpp"

namespace hamal::mass {

inline std::chrono::system_clock::time_point time_field(const Fields& fields, const char* name) {
  const std::string text = fields.id(name);
  const auto when = parse_rfc3339(text);
  if (!when) {
    fields.refuse(name, "is no time such as 2026-11-25T01:05:17Z: " + in_quotes(text));
  }
  return *when;
}

/// May be empty.
inline const nlohmann::json& array_field(const Fields& fields, const char* name, std::size_t most) {
  const nlohmann::json& list = fields.require(name);
  if (!list.is_array() || list.size() > most) {
    fields.refuse(name, fmt::format("is no array of at most {}", most));
  }
  return list;
}

}  // namespace hamal::mass
