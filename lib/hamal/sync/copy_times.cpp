#include "hamal/sync/copy_times.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace hamal {
namespace {

std::uint64_t less(std::uint64_t from, std::uint64_t what) noexcept {
  return from > what ? from - what : 0;
}

}  // namespace

const char* bound_by(const TimeShares& shares) noexcept {
  const std::array<std::pair<std::uint64_t, const char*>, 4> all{{{shares.source_ms, "source"},
                                                                  {shares.target_ms, "target"},
                                                                  {shares.throttle_ms, "throttle"},
                                                                  {shares.cpu_ms, "cpu"}}};
  if (shares.source_ms + shares.target_ms + shares.throttle_ms + shares.cpu_ms < 10) {
    return "nothing";
  }
  return std::max_element(all.begin(), all.end(),
                          [](const auto& a, const auto& b) { return a.first < b.first; })
      ->second;
}

TimeShares operator-(const TimeShares& later, const TimeShares& earlier) noexcept {
  return {less(later.source_ms, earlier.source_ms), less(later.target_ms, earlier.target_ms),
          less(later.throttle_ms, earlier.throttle_ms), less(later.cpu_ms, earlier.cpu_ms)};
}

void add(TimeShares& sum, const TimeShares& part) noexcept {
  sum.source_ms += part.source_ms;
  sum.target_ms += part.target_ms;
  sum.throttle_ms += part.throttle_ms;
  sum.cpu_ms += part.cpu_ms;
}

CopyTimes::Nanoseconds CopyTimes::latency() const noexcept {
  const auto known = [](const std::atomic<std::int64_t>& quickest) {
    const std::int64_t value = quickest.load(k_relaxed);
    return value == k_never ? 0 : value;
  };
  return Nanoseconds(std::max(known(m_source_quickest), known(m_target_quickest)));
}

TimeShares CopyTimes::shares() const noexcept {
  const auto ms = [](const std::atomic<std::int64_t>& time) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(time.load(k_relaxed), 0)) / 1'000'000;
  };
  TimeShares shares{ms(m_source), ms(m_target), ms(m_throttle), 0};
  shares.cpu_ms = less(ms(m_worked), shares.source_ms + shares.target_ms + shares.throttle_ms);
  return shares;
}

}  // namespace hamal
