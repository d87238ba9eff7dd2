#include "hamal/report/metrics_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>

namespace hamal {
namespace {

/// Bytes of the well-formed UTF-8 character at the start of `text`; 0: there is none.
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) {
    return 0;
  }
  std::uint32_t code = first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) {
      return 0;
    }
    code = code << 6U | (byte(i) & 0x3FU);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  return overlong || surrogate || code > 0x10FFFF ? 0 : length;
}

enum class Quotes { plain, escaped };

std::string escape(std::string_view text, Quotes quotes) {
  std::string safe;
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(length, 1));
    if (length == 0) {
      safe += "\xEF\xBF\xBD";  // U+FFFD
    } else if (character == "\\") {
      safe += "\\\\";
    } else if (character == "\n") {
      safe += "\\n";
    } else if (character == "\"" && quotes == Quotes::escaped) {
      safe += "\\\"";
    } else {
      safe += character;
    }
    text.remove_prefix(character.size());
  }
  return safe;
}

std::string number(double value) {
  if (std::isnan(value)) {
    return "NaN";
  }
  if (std::isinf(value)) {
    return value > 0 ? "+Inf" : "-Inf";
  }
  // Whole numbers as such: bytes and seconds since 1970 are read by people too.
  return std::trunc(value) == value && std::abs(value) < 1e15 ? fmt::format("{:.0f}", value)
                                                              : fmt::format("{}", value);
}

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::string_view take_name(std::string_view& line) {
  const std::size_t end =
      static_cast<std::size_t>(std::find_if_not(line.begin(), line.end(), is_name) - line.begin());
  const std::string_view name = line.substr(0, end);
  line.remove_prefix(end);
  return name;
}

bool take(std::string_view& line, std::string_view word) {
  if (!line.starts_with(word)) {
    return false;
  }
  line.remove_prefix(word.size());
  return true;
}

std::optional<std::string> take_quoted(std::string_view& line) {
  if (!take(line, "\"")) {
    return std::nullopt;
  }
  std::string value;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      line.remove_prefix(i + 1);
      return value;
    }
    if (line[i] == '\\' && ++i < line.size()) {
      value += line[i] == 'n' ? '\n' : line[i];
    } else if (i < line.size()) {
      value += line[i];
    }
  }
  return std::nullopt;
}

std::optional<MetricLabels> take_labels(std::string_view& line) {
  MetricLabels labels;
  if (!take(line, "{")) {
    return labels;
  }
  while (!take(line, "}")) {
    const std::string name(take_name(line));
    if (name.empty() || !take(line, "=")) {
      return std::nullopt;
    }
    auto value = take_quoted(line);
    if (!value) {
      return std::nullopt;
    }
    labels.emplace_back(name, std::move(*value));
    take(line, ",");
  }
  return labels;
}

void parse_line(std::string_view line, std::vector<MetricFamily>& families) {
  const std::string name(take_name(line));
  const auto labels = take_labels(line);
  if (name.empty() || !labels || !take(line, " ")) {
    return;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (error != std::errc{} || end != line.data() + line.size()) {
    return;
  }
  auto family = std::find_if(families.begin(), families.end(),
                             [&](const MetricFamily& known) { return known.name == name; });
  if (family == families.end()) {
    family = families.insert(family, MetricFamily{name, {}, {}});
  }
  family->samples.push_back({*labels, value});
}

}  // namespace

std::string metrics_text(const std::vector<MetricFamily>& families) {
  std::string text;
  for (const auto& family : families) {
    if (family.samples.empty()) {
      continue;
    }
    text += fmt::format("# HELP {} {}\n# TYPE {} gauge\n", family.name,
                        escape(family.help, Quotes::plain), family.name);
    for (const auto& sample : family.samples) {
      std::string labels;
      for (const auto& [name, value] : sample.labels) {
        labels += fmt::format("{}{}=\"{}\"", labels.empty() ? "{" : ",", name,
                              escape(value, Quotes::escaped));
      }
      text += family.name + labels + (labels.empty() ? " " : "} ") + number(sample.value) + "\n";
    }
  }
  return text;
}

std::vector<MetricFamily> parse_metrics_text(std::string_view text) {
  std::vector<MetricFamily> families;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    parse_line(line, families);
  }
  return families;
}

}  // namespace hamal
