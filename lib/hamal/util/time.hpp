// Wall-clock and steady time, behind one injectable interface.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace hamal {

/// Thread-safe. Tests inject their own; wall time may step, steady time never goes back.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::chrono::system_clock::time_point wall() const = 0;
  virtual std::chrono::steady_clock::time_point steady() const = 0;
};

const Clock& system_clock();

/// RFC 3339 in UTC with milliseconds: 2026-11-22T21:24:35.123Z
std::string rfc3339(std::chrono::system_clock::time_point when);
/// 2026-11-22T21:24:35Z, with a fraction of 1 to 9 digits or none, in UTC (Z) or with an offset
/// (+01:00); a leap second is the second after it. nullopt for anything else, and outside of 1970
/// to 2200: nanoseconds since 1970 would overflow beyond 2262.
std::optional<std::chrono::system_clock::time_point> parse_rfc3339(std::string_view text);

}  // namespace hamal
