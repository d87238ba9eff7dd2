#include "hamal/net/http_time.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>

namespace hamal {
namespace {

using TimePoint = std::chrono::system_clock::time_point;

constexpr std::array<std::string_view, 12> k_months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Digits of exactly this length; -1 otherwise.
int number(std::string_view text, std::size_t at, std::size_t length) {
  int value = 0;
  for (const char c : text.substr(std::min(at, text.size()), length)) {
    if (!is_digit(c)) {
      return -1;
    }
    value = value * 10 + (c - '0');
  }
  return at + length <= text.size() ? value : -1;
}

struct Parts {
  int year, month, day, hour, minute, second;
};

std::optional<TimePoint> from_parts(const Parts& parts) {
  const std::chrono::year_month_day date{std::chrono::year(parts.year),
                                         std::chrono::month(static_cast<unsigned>(parts.month)),
                                         std::chrono::day(static_cast<unsigned>(parts.day))};
  // Beyond 2200 nanoseconds since 1970 would overflow.
  if (!date.ok() || parts.year < 1970 || parts.year > 2200 || parts.hour < 0 || parts.hour > 23 ||
      parts.minute < 0 || parts.minute > 59 || parts.second < 0 || parts.second > 60) {
    return std::nullopt;
  }
  return TimePoint(std::chrono::sys_days(date)) + std::chrono::hours(parts.hour) +
         std::chrono::minutes(parts.minute) + std::chrono::seconds(parts.second);
}

std::tm broken_down(TimePoint when) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return parts;
}

}  // namespace

std::optional<TimePoint> parse_http_date(std::string_view text) {
  // Www, DD Mmm YYYY HH:MM:SS GMT
  if (text.size() != 29 || text.substr(3, 2) != ", " || !text.ends_with(" GMT") ||
      text[19] != ':' || text[22] != ':') {
    return std::nullopt;
  }
  const auto* const month = std::find(k_months.begin(), k_months.end(), text.substr(8, 3));
  if (month == k_months.end()) {
    return std::nullopt;
  }
  return from_parts({number(text, 12, 4), static_cast<int>(month - k_months.begin()) + 1,
                     number(text, 5, 2), number(text, 17, 2), number(text, 20, 2),
                     number(text, 23, 2)});
}

std::string basic_iso_time(TimePoint when) {
  const std::tm parts = broken_down(when);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string iso_time_rounded_up(TimePoint when) {
  const std::tm parts = broken_down(std::chrono::ceil<std::chrono::seconds>(when));
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace hamal
