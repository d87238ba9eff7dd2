#include "hamal/period/schedule.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "hamal/util/time.hpp"

namespace hamal::period {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds k_first_retry{60'000};
constexpr milliseconds k_longest_retry{3'600'000};
constexpr std::uint64_t k_doublings = 12;
// Clocks of one host are set back by a little all the time; more would put the next run off for
// long.
constexpr std::chrono::minutes k_clock_slack{1};

milliseconds retry_delay(const Job& job, std::uint64_t failures) {
  const milliseconds first = job.interval ? std::min(*job.interval, k_first_retry) : k_first_retry;
  const std::uint64_t doublings = std::min(failures == 0 ? 0 : failures - 1, k_doublings);
  return std::min<milliseconds>(first * (1LL << doublings), k_longest_retry);
}

Due regardless_of_windows(const Job& job, const RunRecord* last, TimePoint now) {
  const auto started = last == nullptr ? std::nullopt : parse_rfc3339(last->started);
  if (!started) {
    return {.now = true, .when = now, .reason = "it was never run"};
  }
  if (last->state == k_running || last->state == k_interrupted) {
    return {.now = true, .when = now, .reason = "the last run was interrupted"};
  }
  const TimePoint ended = parse_rfc3339(last->ended).value_or(*started);
  if (std::max(*started, ended) > now + k_clock_slack) {
    return {.now = true, .when = now, .reason = "the clock was set back since the last run"};
  }
  if (last->state == k_failed || last->state == k_busy) {
    const TimePoint retry = ended + retry_delay(job, last->state == k_failed ? last->failures : 1);
    return {.now = retry <= now,
            .when = retry,
            .reason = last->state == k_failed
                          ? fmt::format("it failed {} times and is tried again", last->failures)
                          : std::string("another run held it")};
  }
  const TimePoint next = job.interval ? *started + *job.interval : job.schedule->next(*started);
  return {
      .now = next <= now, .when = next, .reason = fmt::format("it was due at {}", rfc3339(next))};
}

}  // namespace

Due judge(const Job& job, const RunRecord* last, TimePoint now) {
  Due due = regardless_of_windows(job, last, now);
  if (job.windows.empty()) {
    return due;
  }
  const TimePoint wanted = std::max(due.when, now);
  TimePoint opens = TimePoint::max();
  for (const TimeWindow& window : job.windows) {
    opens = std::min(opens, window.opens(wanted));
  }
  due.now = due.now && opens <= now;
  due.when = due.now ? due.when : opens;
  return due;
}

}  // namespace hamal::period
