#include "hamal/config/values.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "hamal/util/text.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t k_megabyte = 1ULL << 20U;

bool is_bare(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// The largest unit that says it exactly.
std::string show_with_unit(milliseconds duration) {
  struct Named {
    const char* name;
    std::int64_t ms;
  };
  constexpr std::array<Named, 5> k_units{
      {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};
  for (const Named& unit : k_units) {
    if (duration.count() != 0 && duration.count() % unit.ms == 0) {
      return fmt::format("{}{}", duration.count() / unit.ms, unit.name);
    }
  }
  return "0";
}

}  // namespace

std::optional<bool> parse_bool(std::string_view text) {
  const std::string word = to_lower(text);
  if (word == "true" || word == "yes" || word == "on" || word == "1") {
    return true;
  }
  if (word == "false" || word == "no" || word == "off" || word == "0") {
    return false;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_count(std::string_view text, CountRange range) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || rest != end || value < range.lowest || value > range.highest) {
    return std::nullopt;
  }
  return value;
}

std::string allowed_count(CountRange range) {
  return fmt::format("a whole number from {} to {}", range.lowest, range.highest);
}

std::optional<milliseconds> parse_ranged_duration(std::string_view text,
                                                  const DurationRange& range) {
  std::string with_unit(text);
  if (is_bare(text)) {
    with_unit += range.bare == Unit::milliseconds ? "ms" : "s";
  }
  const auto value = parse_duration(with_unit);
  if (!value || *value < range.lowest || *value > range.highest) {
    return std::nullopt;
  }
  return value;
}

std::string allowed_duration(const DurationRange& range) {
  return fmt::format("{} to {}; a bare number counts {}", show_with_unit(range.lowest),
                     show_with_unit(range.highest),
                     range.bare == Unit::milliseconds ? "milliseconds" : "seconds");
}

std::string show_duration(milliseconds duration, Unit bare) {
  constexpr std::int64_t k_hour = 3'600'000;
  if (duration.count() > k_hour && duration.count() % k_hour == 0) {
    return fmt::format("{}h", duration.count() / k_hour);
  }
  const std::int64_t unit = bare == Unit::milliseconds ? 1 : 1000;
  return duration.count() % unit == 0 ? std::to_string(duration.count() / unit)
                                      : show_with_unit(duration);
}

std::optional<std::uint64_t> parse_ranged_size(std::string_view text, const SizeRange& range) {
  std::string with_unit(text);
  if (is_bare(text) && range.bare == Unit::megabytes) {
    with_unit += "M";
  }
  const auto value = parse_size(with_unit);
  if (!value || *value < range.lowest || *value > range.highest ||
      (range.bare == Unit::megabytes && *value % k_megabyte != 0)) {
    return std::nullopt;
  }
  return value;
}

std::string allowed_size(const SizeRange& range) {
  return fmt::format("a size from {} to {}; a bare number counts {}", format_size(range.lowest),
                     format_size(range.highest),
                     range.bare == Unit::megabytes ? "megabytes" : "bytes");
}

std::string allowed_words(const std::vector<std::string>& words) {
  return fmt::format("one of {}", fmt::join(words, ", "));
}

bool carries_password(std::string_view url) {
  const auto begin = url.find("://");
  if (begin == std::string_view::npos) {
    return false;
  }
  const std::string_view rest = url.substr(begin + 3);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  const auto at = authority.rfind('@');
  const bool in_front =
      at != std::string_view::npos && authority.substr(0, at).find(':') != std::string_view::npos;
  return in_front || rest.find("?password=") != std::string_view::npos ||
         rest.find("&password=") != std::string_view::npos;
}

}  // namespace hamal
