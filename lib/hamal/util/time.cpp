#include "hamal/util/time.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ctime>

namespace hamal {
namespace {
class SystemClock final : public Clock {
 public:
  std::chrono::system_clock::time_point wall() const override {
    return std::chrono::system_clock::now();
  }
  std::chrono::steady_clock::time_point steady() const override {
    return std::chrono::steady_clock::now();
  }
};

using Seconds = std::chrono::sys_seconds;
constexpr Seconds k_first = std::chrono::sys_days(std::chrono::year(1970) / 1 / 1);
constexpr Seconds k_end = std::chrono::sys_days(std::chrono::year(2201) / 1 / 1);

/// 0 in the form stands for any digit.
bool has_form(std::string_view text, std::string_view form) {
  return std::equal(text.begin(), text.end(), form.begin(), form.end(), [](char c, char wanted) {
    return wanted == '0' ? c >= '0' && c <= '9' : c == wanted;
  });
}

/// Of digits.
int number(std::string_view text, std::size_t at, std::size_t digits) {
  int value = 0;
  std::from_chars(text.data() + at, text.data() + at + digits, value);
  return value;
}

/// Of a second; 0 where there is none.
std::optional<std::chrono::nanoseconds> take_fraction(std::string_view& text) {
  constexpr std::size_t k_most_digits = 9;
  if (!text.starts_with('.')) {
    return std::chrono::nanoseconds(0);
  }
  text.remove_prefix(1);
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || digits > k_most_digits) {
    return std::nullopt;
  }
  std::int64_t value = number(text, 0, digits);
  for (std::size_t i = digits; i < k_most_digits; ++i) {
    value *= 10;
  }
  text.remove_prefix(digits);
  return std::chrono::nanoseconds(value);
}

std::optional<std::chrono::minutes> offset_of(std::string_view text) {
  if (text == "Z") {
    return std::chrono::minutes(0);
  }
  if (!has_form(text, "+00:00") && !has_form(text, "-00:00")) {
    return std::nullopt;
  }
  const int hours = number(text, 1, 2);
  const int minutes = number(text, 4, 2);
  if (hours > 23 || minutes > 59) {
    return std::nullopt;
  }
  return std::chrono::minutes((text.front() == '-' ? -1 : 1) * (60 * hours + minutes));
}
}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

std::string rfc3339(std::chrono::system_clock::time_point when) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(when.time_since_epoch()).count();
  auto seconds = static_cast<std::time_t>(ms / 1000);
  auto rest = ms % 1000;
  if (rest < 0) {
    rest += 1000;
    --seconds;
  }
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     rest);
}

std::optional<std::chrono::system_clock::time_point> parse_rfc3339(std::string_view text) {
  constexpr std::string_view k_form = "0000-00-00T00:00:00";
  if (!has_form(text.substr(0, k_form.size()), k_form)) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{
      std::chrono::year(number(text, 0, 4)),
      std::chrono::month(static_cast<unsigned>(number(text, 5, 2))),
      std::chrono::day(static_cast<unsigned>(number(text, 8, 2)))};
  const int hour = number(text, 11, 2);
  const int minute = number(text, 14, 2);
  const int second = number(text, 17, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) {
    return std::nullopt;
  }
  text.remove_prefix(k_form.size());
  const auto fraction = take_fraction(text);
  const auto offset = offset_of(text);
  if (!fraction || !offset) {
    return std::nullopt;
  }
  const auto whole = std::chrono::sys_days(date) + std::chrono::hours(hour) +
                     std::chrono::minutes(minute) + std::chrono::seconds(second) - *offset;
  if (whole < k_first || whole >= k_end) {
    return std::nullopt;
  }
  return std::chrono::system_clock::time_point(whole) + *fraction;
}

}  // namespace hamal
