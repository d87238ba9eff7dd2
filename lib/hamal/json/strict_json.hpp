// JSON from outside: parsed strictly, its fields taken with their types checked. For .cpp files
// alone: the header of the JSON library is a slow one.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "hamal/util/error.hpp"

namespace hamal {

/// Where a text came from and what a violation in it means.
struct Place {
  std::string object;  ///< "standard input, line 7"
  ErrorKind kind = ErrorKind::failed;

  [[noreturn]] void refuse(std::string what, std::string hint = {}) const {
    throw Error(kind, std::move(what), object, std::move(hint));
  }
};

/// A foreign text for a message: in double quotes, on one line, short.
std::string in_quotes(std::string_view text);

/// Refuses what RFC 8259 does not allow, fields given twice and nesting deeper than 64.
nlohmann::json parse_strict(std::string_view text, const Place& place);

/// The fields of one object. Violations name the field with `prefix` ("disks[0].") before it.
class Fields {
 public:
  Fields(const nlohmann::json& object, const Place& place, std::string prefix = {});

  bool has(const char* field) const { return m_object.contains(field); }
  /// Any type; refused when missing.
  const nlohmann::json& require(const char* field) const;
  const nlohmann::json& require_object(const char* field) const;
  /// A non-empty array.
  const nlohmann::json& require_array(const char* field) const;

  std::string text(const char* field) const;           ///< must be there
  std::string id(const char* field) const;             ///< must be there and not be empty
  std::string optional_text(const char* field) const;  ///< empty when missing
  bool optional_flag(const char* field) const;         ///< false when missing
  /// A whole number of at most 2^63 - 1; must be there.
  std::uint64_t number(const char* field) const;

  [[noreturn]] void refuse(const char* field, const std::string& what) const;

 private:
  const nlohmann::json& m_object;
  const Place& m_place;
  std::string m_prefix;
};

/// `format` and `version` of a document: refuses another format by its name, and a newer version.
void check_format(const Fields& fields, std::string_view format, std::uint64_t version,
                  const Place& place);
/// "a snapshot document", "an extent stream" …; of another word: itself in quotes.
std::string format_words(std::string_view format);
[[noreturn]] void refuse_newer(std::uint64_t version, std::uint64_t known, const Place& place);

}  // namespace hamal
