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
  constexpr std::size_t k_most_digits = 9;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.size() <= k_form.size() || text.back() != 'Z') {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < k_form.size(); ++i) {
    if (k_form[i] == '0' ? !is_digit(text[i]) : text[i] != k_form[i]) {
      return std::nullopt;
    }
  }
  const auto number = [&](std::size_t at, std::size_t digits) {
    int value = 0;
    std::from_chars(text.data() + at, text.data() + at + digits, value);
    return value;
  };
  const std::chrono::year_month_day date(std::chrono::year(number(0, 4)),
                                         std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                         std::chrono::day(static_cast<unsigned>(number(8, 2))));
  if (!date.ok() || number(11, 2) > 23 || number(14, 2) > 59 || number(17, 2) > 59) {
    return std::nullopt;
  }
  std::string_view fraction = text.substr(k_form.size(), text.size() - k_form.size() - 1);
  std::chrono::nanoseconds rest{0};
  if (!fraction.empty()) {
    fraction.remove_prefix(1);
    if (text[k_form.size()] != '.' || fraction.empty() || fraction.size() > k_most_digits ||
        !std::all_of(fraction.begin(), fraction.end(), is_digit)) {
      return std::nullopt;
    }
    std::int64_t value = number(k_form.size() + 1, fraction.size());
    for (std::size_t i = fraction.size(); i < k_most_digits; ++i) {
      value *= 10;
    }
    rest = std::chrono::nanoseconds(value);
  }
  const auto day = std::chrono::sys_days(date);
  return std::chrono::time_point_cast<std::chrono::system_clock::duration>(
      day + std::chrono::hours(number(11, 2)) + std::chrono::minutes(number(14, 2)) +
      std::chrono::seconds(number(17, 2)) + rest);
}

}  // namespace hamal
