// Calendar schedules and time windows, in the time zone of this host (hamal.conf(5), [job NAME]).
#pragma once
#include <bitset>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace hamal::period {

using TimePoint = std::chrono::system_clock::time_point;

/// The five fields of cron(8): minute, hour, day of the month, month, day of the week.
class Calendar {
 public:
  /// nullopt when it is none: also when no day can ever match ("0 0 30 2 *").
  static std::optional<Calendar> parse(std::string_view text);

  /// The first matching minute after `when`. A time that the clocks skip in spring is taken at the
  /// moment they show afterwards; one that they show twice in autumn is taken once.
  TimePoint next(TimePoint when) const;

 private:
  bool matches_day(int month, int day, int weekday) const;

  std::bitset<60> m_minutes;
  std::bitset<24> m_hours;
  std::bitset<32> m_days;     ///< from 1
  std::bitset<13> m_months;   ///< from 1
  std::bitset<7> m_weekdays;  ///< 0 is Sunday
  bool m_any_day = false;     ///< the field was *
  bool m_any_weekday = false;
};

/// A part of each day: minutes since midnight, the end not in it. One that ends before it begins
/// goes over midnight.
struct TimeWindow {
  int begin = 0;
  int end = 0;
  /// "22:00-06:00"
  static std::optional<TimeWindow> parse(std::string_view text);
  bool contains(TimePoint when) const;
  /// `when` itself inside; else when it opens next.
  TimePoint opens(TimePoint when) const;
};

}  // namespace hamal::period
