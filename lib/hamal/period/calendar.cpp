#include "hamal/period/calendar.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <utility>
#include <vector>

#include "hamal/period/words.hpp"
#include "hamal/util/text.hpp"

namespace hamal::period {
namespace {

using std::chrono::system_clock;

constexpr int k_minutes_of_day = 24 * 60;
constexpr int k_clock_change = 3 * 60;
// A leap year's 29 February comes at least every eight years.
constexpr int k_days_to_look = 8 * 366 + 1;

std::tm local(TimePoint when) {
  const std::time_t seconds = system_clock::to_time_t(when);
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  return parts;
}

/// Parts out of their ranges are carried over; whether summer time applies is looked up.
TimePoint from_local(std::tm parts) {
  parts.tm_isdst = -1;
  return system_clock::from_time_t(::mktime(&parts));
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || text.front() == '-') {
    return std::nullopt;
  }
  return value;
}

struct FieldRange {
  int lowest;
  int highest;
  const char* names;  ///< three letters each, from `lowest` on
};

std::optional<int> value_of(std::string_view text, const FieldRange& range) {
  if (text.empty()) {
    return std::nullopt;
  }
  if (text.size() == 3) {
    const std::size_t at = std::string_view(range.names).find(to_lower(text));
    if (at != std::string_view::npos && at % 3 == 0) {
      return range.lowest + static_cast<int>(at / 3);
    }
  }
  const auto value = number(text);
  return value && *value >= range.lowest && *value <= range.highest ? value : std::nullopt;
}

/// One of the comma-separated items: "*", "5", "1-5", any of them with "/STEP".
template <std::size_t N>
bool add_item(std::string_view item, const FieldRange& range, std::bitset<N>& set) {
  int step = 1;
  const std::size_t slash = item.find('/');
  if (slash != std::string_view::npos) {
    const auto given = item.size() > slash + 1 ? number(item.substr(slash + 1)) : std::nullopt;
    if (!given || *given < 1) {
      return false;
    }
    step = *given;
    item = item.substr(0, slash);
  }
  int first = range.lowest;
  int last = range.highest;
  if (item != "*") {
    const std::size_t dash = item.find('-');
    const auto begin = value_of(item.substr(0, dash), range);
    const auto end =
        dash == std::string_view::npos ? begin : value_of(item.substr(dash + 1), range);
    if (!begin || !end || *end < *begin) {
      return false;
    }
    first = *begin;
    // "5/10": from 5 on, as cron has it.
    last = dash == std::string_view::npos && slash != std::string_view::npos ? range.highest : *end;
  }
  for (int value = first; value <= last; value += step) {
    set.set(static_cast<std::size_t>(value));
  }
  return true;
}

template <std::size_t N>
bool parse_field(std::string_view text, const FieldRange& range, std::bitset<N>& set) {
  for (const std::string_view item : split(text, ',')) {
    if (!add_item(item, range, set)) {
      return false;
    }
  }
  return set.any();
}

std::string_view expand(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> k_words{
      {{"hourly", "0 * * * *"},
       {"daily", "0 0 * * *"},
       {"weekly", "0 0 * * 1"},
       {"monthly", "0 0 1 * *"}}};
  for (const auto& [word, fields] : k_words) {
    if (text == word) {
      return fields;
    }
  }
  return text;
}

std::optional<int> minute_of_day(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || text.size() != colon + 3) {
    return std::nullopt;
  }
  const auto hour = number(text.substr(0, colon));
  const auto minute = number(text.substr(colon + 1));
  if (!hour || !minute || *minute > 59 || *hour > 24 || (*hour == 24 && *minute != 0)) {
    return std::nullopt;
  }
  return *hour * 60 + *minute;
}

}  // namespace

std::optional<Calendar> Calendar::parse(std::string_view text) {
  const std::vector<std::string_view> fields = words(expand(text));
  if (fields.size() != 5) {
    return std::nullopt;
  }
  Calendar made;
  std::bitset<8> weekdays;
  if (!parse_field(fields[0], {0, 59, ""}, made.m_minutes) ||
      !parse_field(fields[1], {0, 23, ""}, made.m_hours) ||
      !parse_field(fields[2], {1, 31, ""}, made.m_days) ||
      !parse_field(fields[3], {1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"}, made.m_months) ||
      !parse_field(fields[4], {0, 7, "sunmontuewedthufrisatsun"}, weekdays)) {
    return std::nullopt;
  }
  for (std::size_t day = 0; day < weekdays.size(); ++day) {
    if (weekdays[day]) {
      made.m_weekdays.set(day % 7);  // 7 is Sunday too
    }
  }
  made.m_any_day = fields[2].starts_with('*');
  made.m_any_weekday = fields[4].starts_with('*');
  if (made.m_any_weekday) {
    static constexpr std::array<int, 13> k_longest{0,  31, 29, 31, 30, 31, 30,
                                                   31, 31, 30, 31, 30, 31};
    bool possible = false;
    for (std::size_t month = 1; month <= 12; ++month) {
      for (int day = 1; day <= k_longest.at(month); ++day) {
        possible = possible || (made.m_months[month] && made.m_days[static_cast<std::size_t>(day)]);
      }
    }
    if (!possible) {
      return std::nullopt;
    }
  }
  return made;
}

bool Calendar::matches_day(int month, int day, int weekday) const {
  if (!m_months[static_cast<std::size_t>(month)]) {
    return false;
  }
  const bool on_day = m_days[static_cast<std::size_t>(day)];
  const bool on_weekday = m_weekdays[static_cast<std::size_t>(weekday)];
  // As cron: when both are restricted, either is enough.
  return m_any_day || m_any_weekday ? on_day && on_weekday : on_day || on_weekday;
}

TimePoint Calendar::next(TimePoint when) const {
  const std::tm start = local(when);
  for (int ahead = 0; ahead < k_days_to_look; ++ahead) {
    std::tm noon = start;
    noon.tm_mday += ahead;
    noon.tm_hour = 12;
    noon.tm_min = 0;
    noon.tm_sec = 0;
    const std::tm day = local(from_local(noon));
    if (!matches_day(day.tm_mon + 1, day.tm_mday, day.tm_wday)) {
      continue;
    }
    // Today's past is left out, but for what a change of the clocks may bring back.
    const int now = start.tm_hour * 60 + start.tm_min;
    for (int minute = ahead == 0 ? std::max(0, now - k_clock_change) : 0; minute < k_minutes_of_day;
         ++minute) {
      if (!m_hours[static_cast<std::size_t>(minute / 60)] ||
          !m_minutes[static_cast<std::size_t>(minute % 60)]) {
        continue;
      }
      std::tm at = day;
      at.tm_hour = minute / 60;
      at.tm_min = minute % 60;
      at.tm_sec = 0;
      const TimePoint found = from_local(at);
      if (found > when) {
        return found;
      }
    }
  }
  return TimePoint::max();
}

std::optional<TimeWindow> TimeWindow::parse(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) {
    return std::nullopt;
  }
  const auto begin = minute_of_day(text.substr(0, dash));
  const auto end = minute_of_day(text.substr(dash + 1));
  if (!begin || !end || *begin == *end || *begin == k_minutes_of_day) {
    return std::nullopt;
  }
  return TimeWindow{.begin = *begin, .end = *end};
}

bool TimeWindow::contains(TimePoint when) const {
  const std::tm parts = local(when);
  const int minute = parts.tm_hour * 60 + parts.tm_min;
  return begin < end ? minute >= begin && minute < end : minute >= begin || minute < end;
}

TimePoint TimeWindow::opens(TimePoint when) const {
  if (contains(when)) {
    return when;
  }
  std::tm at = local(when);
  at.tm_mday += begin > at.tm_hour * 60 + at.tm_min ? 0 : 1;
  at.tm_hour = begin / 60;
  at.tm_min = begin % 60;
  at.tm_sec = 0;
  return from_local(at);
}

}  // namespace hamal::period
