// inih keeps inline `#` comments and quotes, counts no lines for its handler and truncates long
// sections, so the lines are handed to it one by one, and its values are finished here.
#include "hamal/config/ini_text.hpp"

#include <fmt/format.h>
#include <ini.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <optional>
#include <string_view>

#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"

namespace hamal {
namespace {

constexpr std::size_t k_longest_line = 16U << 10;
constexpr std::size_t k_longest_section = 49;  // inih's buffer

bool starts_comment(std::string_view text) {
  return !text.empty() && (text.front() == '#' || text.front() == ';');
}

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

class IniParser {
 public:
  IniParser(std::string_view text, const std::string& name) : m_rest(text), m_name(name) {}

  IniText parse() {
    configure_inih();
    const int bad_line = ::ini_parse_stream(&IniParser::on_read, this, &IniParser::on_entry, this);
    if (m_error) {
      std::rethrow_exception(m_error);
    }
    if (bad_line > 0) {
      m_line = bad_line;
      fail("neither [section] nor \"key = value\" nor a comment");
    }
    if (bad_line < 0) {
      fail("not enough memory to read it");
    }
    return std::move(m_result);
  }

 private:
  static void configure_inih() {
    static std::once_flag once;
    std::call_once(once, [] {
      ini_use_stack = false;
      ini_max_line = static_cast<int>(k_longest_line) + 3;
      ini_initial_alloc = ini_max_line;
      ini_stop_on_first_error = true;
      ini_allow_multiline = false;
      ini_allow_inline_comments = false;
    });
  }

  // Nothing may be thrown through inih, which is C: the first error is kept, and the text ends
  // there.
  static char* on_read(char* into, int size, void* self) {
    auto& parser = *static_cast<IniParser*>(self);
    try {
      const auto line = parser.next_line();
      if (!line || line->size() + 1 > static_cast<std::size_t>(size)) {
        return nullptr;
      }
      *std::copy(line->begin(), line->end(), into) = '\0';
      return into;
    } catch (...) {
      parser.m_error = std::current_exception();
      return nullptr;
    }
  }

  static int on_entry(void* self, const char* section, const char* key, const char* value) {
    auto& parser = *static_cast<IniParser*>(self);
    try {
      parser.add(section, key, value);
      return 1;
    } catch (...) {
      parser.m_error = std::current_exception();
      return 0;
    }
  }

  std::optional<std::string_view> next_line() {
    if (m_rest.empty() || m_error) {
      return std::nullopt;
    }
    ++m_line;
    const auto end = std::min(m_rest.find('\n'), m_rest.size());
    std::string_view line = m_rest.substr(0, end);
    m_rest.remove_prefix(std::min(end + 1, m_rest.size()));
    if (line.find('\0') != std::string_view::npos) {
      fail("holds a NUL byte: not a text file");
    }
    if (line.size() > k_longest_line) {
      fail(fmt::format("longer than {} bytes", k_longest_line));
    }
    line = trim(line);
    if (line.starts_with('[')) {
      note_section(line);
    }
    return line;
  }

  void note_section(std::string_view line) {
    const auto end = line.find(']');
    if (end == std::string_view::npos) {
      fail("the section's name is not closed by ]");
    }
    const std::string_view name = line.substr(1, end - 1);
    const std::string_view behind = trim(line.substr(end + 1));
    if (!behind.empty() && !starts_comment(behind)) {
      fail("text behind the ] of a section; allowed: a comment");
    }
    if (trim(name).empty()) {
      fail("a section without a name");
    }
    if (name.size() > k_longest_section) {
      fail(fmt::format("a section's name longer than {} characters", k_longest_section));
    }
    m_result.sections.push_back({std::string(trim(name)), m_line});
  }

  void add(std::string_view section, std::string_view key, std::string_view value) {
    if (key.empty()) {
      fail("a value without a key");
    }
    if (section.empty()) {
      fail(fmt::format("{}: a key before any [section]", escape_control(key)));
    }
    m_result.entries.push_back(
        {std::string(trim(section)), std::string(key), finish_value(key, value), m_line});
  }

  std::string finish_value(std::string_view key, std::string_view value) const {
    if (value.starts_with('"') || value.starts_with('\'')) {
      const auto end = value.find(value.front(), 1);
      if (end == std::string_view::npos) {
        fail(fmt::format("{}: the quote is not closed", escape_control(key)));
      }
      const std::string_view behind = trim(value.substr(end + 1));
      if (!behind.empty() && !starts_comment(behind)) {
        fail(fmt::format("{}: text behind the closing quote", escape_control(key)));
      }
      return std::string(value.substr(1, end - 1));
    }
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (starts_comment(value.substr(i)) && (i == 0 || is_blank(value[i - 1]))) {
        return std::string(trim(value.substr(0, i)));
      }
    }
    return std::string(value);
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::usage, what, place({m_name, m_line}));
  }

  std::string_view m_rest;
  const std::string& m_name;
  int m_line = 0;
  std::exception_ptr m_error;
  IniText m_result;
};

}  // namespace

IniText parse_ini(const std::string& text, const std::string& name) {
  return IniParser(text, name).parse();
}

std::string place(const ConfigOrigin& origin) {
  return fmt::format("{}:{}", origin.file, origin.line);
}

}  // namespace hamal
