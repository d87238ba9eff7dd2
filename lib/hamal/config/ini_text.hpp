// The text of one INI file, taken apart line by line; what the keys mean is told by keys.hpp.
#pragma once
#include <string>
#include <vector>

#include "hamal/config/config.hpp"

namespace hamal {

struct IniEntry {
  std::string section;
  std::string key;
  std::string value;  ///< without comment and quotes
  int line = 0;
};

struct IniSection {
  std::string name;
  int line = 0;
};

struct IniText {
  std::vector<IniSection> sections;  ///< each header, in order
  std::vector<IniEntry> entries;     ///< in order
};

/// Rules: `key = value` or `key: value`; `#` and `;` begin a comment at the start of a line or of a
/// value and behind white space; a value that starts with a quote ends at the next one of its kind;
/// no line continues another one. Throws Error(usage) "NAME:LINE: …" for anything else, NUL bytes
/// and lines above 16 KiB included.
IniText parse_ini(const std::string& text, const std::string& name);

/// "FILE:LINE"
std::string place(const ConfigOrigin& origin);

}  // namespace hamal
