// The parser's guard and the fields' types.
#include "hamal/json/strict_json.hpp"

#include <fmt/core.h>

#include <set>
#include <utility>
#include <vector>

#include "hamal/extent/validate.hpp"
#include "hamal/util/text.hpp"

namespace hamal {
namespace {

using Json = nlohmann::json;

constexpr int k_max_depth = 64;
constexpr std::size_t k_max_quoted = 80;

/// Watches the parser: it alone sees a field that is given twice.
class Guard {
 public:
  explicit Guard(const Place& place) : m_place(place) {}

  bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    switch (event) {
      case Json::parse_event_t::object_start:
      case Json::parse_event_t::array_start:
        if (depth >= k_max_depth) {
          m_place.refuse(fmt::format("is nested more than {} deep", k_max_depth));
        }
        m_fields.emplace_back();
        break;
      case Json::parse_event_t::object_end:
      case Json::parse_event_t::array_end:
        m_fields.pop_back();
        break;
      case Json::parse_event_t::key: {
        const auto& field = parsed.get_ref<const std::string&>();
        if (!m_fields.back().insert(field).second) {
          m_place.refuse(fmt::format("the field {} is given twice", in_quotes(field)));
        }
        break;
      }
      case Json::parse_event_t::value:
        break;
    }
    return true;
  }

 private:
  const Place& m_place;
  std::vector<std::set<std::string>> m_fields;
};

const char* type_words(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "an array";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::boolean:
      return "true or false";
    default:
      return "a number";
  }
}

}  // namespace

std::string in_quotes(std::string_view text) {
  std::string shown = escape_control(text.substr(0, k_max_quoted));
  return '"' + shown + (text.size() > k_max_quoted ? "…\"" : "\"");
}

Json parse_strict(std::string_view text, const Place& place) {
  try {
    Guard guard(place);
    return Json::parse(text.begin(), text.end(), std::ref(guard));
  } catch (const Json::parse_error& error) {
    place.refuse(fmt::format("is not JSON: what starts with {} goes wrong at its byte {}",
                             in_quotes(text.substr(0, 40)), error.byte));
  } catch (const Json::out_of_range&) {
    place.refuse("holds a number that is too large for anything");
  }
}

Fields::Fields(const Json& object, const Place& place, std::string prefix)
    : m_object(object), m_place(place), m_prefix(std::move(prefix)) {
  if (!object.is_object()) {
    const std::string what =
        m_prefix.empty() ? "what is here" : m_prefix.substr(0, m_prefix.size() - 1);
    m_place.refuse(fmt::format("{} must be an object, not {}", what, type_words(object)));
  }
}

void Fields::refuse(const char* field, const std::string& what) const {
  m_place.refuse(fmt::format("the field \"{}{}\" {}", m_prefix, field, what));
}

const Json& Fields::require(const char* field) const {
  const auto found = m_object.find(field);
  if (found == m_object.end()) {
    refuse(field, "is missing");
  }
  return *found;
}

const Json& Fields::require_object(const char* field) const {
  const Json& value = require(field);
  if (!value.is_object()) {
    refuse(field, fmt::format("must be an object, not {}", type_words(value)));
  }
  return value;
}

const Json& Fields::require_array(const char* field) const {
  const Json& value = require(field);
  if (!value.is_array()) {
    refuse(field, fmt::format("must be an array, not {}", type_words(value)));
  }
  if (value.empty()) {
    refuse(field, "must not be empty");
  }
  return value;
}

std::string Fields::text(const char* field) const {
  const Json& value = require(field);
  if (!value.is_string()) {
    refuse(field, fmt::format("must be a string, not {}", type_words(value)));
  }
  auto text = value.get<std::string>();
  if (text.find('\0') != std::string::npos) {
    refuse(field, "holds a NUL character");
  }
  return text;
}

std::string Fields::id(const char* field) const {
  std::string value = text(field);
  if (value.empty()) {
    refuse(field, "must not be empty");
  }
  return value;
}

std::string Fields::optional_text(const char* field) const {
  return has(field) ? text(field) : std::string();
}

bool Fields::optional_flag(const char* field) const {
  if (!has(field)) {
    return false;
  }
  const Json& value = require(field);
  if (!value.is_boolean()) {
    refuse(field, fmt::format("must be true or false, not {}", type_words(value)));
  }
  return value.get<bool>();
}

std::uint64_t Fields::number(const char* field) const {
  const Json& value = require(field);
  if (!value.is_number()) {
    refuse(field, fmt::format("must be a whole number, not {}", type_words(value)));
  }
  if (value.is_number_float()) {
    // An integer beyond 64 bits also arrives as a float.
    const double number = value.get<double>();
    if (number < static_cast<double>(k_max_disk_size)) {
      refuse(field, fmt::format("must be a whole number, not {}", value.dump()));
    }
  } else if (!value.is_number_unsigned()) {
    refuse(field, fmt::format("must not be negative, as {} is", value.dump()));
  } else if (value.get<std::uint64_t>() <= k_max_disk_size) {
    return value.get<std::uint64_t>();
  }
  refuse(field, fmt::format("is too large: {} is more than {}", value.dump(), k_max_disk_size));
}

std::string format_words(std::string_view format) {
  if (format == "hamal-snapshot") {
    return "a snapshot document";
  }
  if (format == "hamal-extents") {
    return "an extent stream";
  }
  if (format == "hamal-data") {
    return "a data stream";
  }
  if (format == "hamal-state") {
    return "an exported state";
  }
  return in_quotes(format);
}

void refuse_newer(std::uint64_t version, std::uint64_t known, const Place& place) {
  place.refuse(
      fmt::format("written by a newer hamal: version {}, this one reads {}", version, known),
      "update hamal on this host, or use the same version on both");
}

void check_format(const Fields& fields, std::string_view format, std::uint64_t version,
                  const Place& place) {
  if (!fields.has("format")) {
    place.refuse(fmt::format("is not {}: it has no field \"format\"", format_words(format)));
  }
  if (const std::string found = fields.text("format"); found != format) {
    const bool needs_extents = format == "hamal-extents" && found == "hamal-snapshot";
    place.refuse(fmt::format("is {}, not {}", format_words(found), format_words(format)),
                 needs_extents ? "put hamal-cbt-read between the two commands" : "");
  }
  const std::uint64_t found = fields.number("version");
  if (found > version) {
    refuse_newer(found, version, place);
  }
  if (found == 0) {
    fields.refuse("version", "must not be 0");
  }
}

}  // namespace hamal
