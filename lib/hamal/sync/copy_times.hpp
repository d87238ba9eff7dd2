// Where the workers of a copy spend their time: what "bound by" is judged from.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>

namespace hamal {

/// Milliseconds, summed over workers: only their proportion means anything.
struct TimeShares {
  std::uint64_t source_ms = 0;    ///< in calls to the source, and waiting for its answers
  std::uint64_t target_ms = 0;    ///< the same of the target
  std::uint64_t throttle_ms = 0;  ///< kept waiting by --bwlimit or *_release_cpu_time
  std::uint64_t cpu_ms = 0;       ///< the rest: hamal's own work
};

/// "source", "target", "throttle", "cpu": the largest share; "nothing" below 10 ms in all.
const char* bound_by(const TimeShares& shares) noexcept;

TimeShares operator-(const TimeShares& later, const TimeShares& earlier) noexcept;
void add(TimeShares& sum, const TimeShares& part) noexcept;

/// Added to by all workers while they run.
class CopyTimes {
 public:
  using Nanoseconds = std::chrono::nanoseconds;
  void source(Nanoseconds time) noexcept { m_source.fetch_add(time.count(), k_relaxed); }
  void target(Nanoseconds time) noexcept { m_target.fetch_add(time.count(), k_relaxed); }
  void throttle(Nanoseconds time) noexcept { m_throttle.fetch_add(time.count(), k_relaxed); }
  /// Time that passed in a worker, whatever it did.
  void worked(Nanoseconds time) noexcept { m_worked.fetch_add(time.count(), k_relaxed); }
  /// A request was answered, so long after it was sent.
  void source_answered(Nanoseconds time) noexcept { note_quickest(m_source_quickest, time); }
  void target_answered(Nanoseconds time) noexcept { note_quickest(m_target_quickest, time); }
  /// The quickest answer so far of the slower side, which is about its latency; zero before the
  /// first.
  Nanoseconds latency() const noexcept;
  TimeShares shares() const noexcept;

 private:
  static constexpr auto k_relaxed = std::memory_order_relaxed;
  static constexpr std::int64_t k_never = INT64_MAX;
  static void note_quickest(std::atomic<std::int64_t>& quickest, Nanoseconds time) noexcept {
    std::int64_t known = quickest.load(k_relaxed);
    while (time.count() < known &&
           !quickest.compare_exchange_weak(known, time.count(), k_relaxed)) {
    }
  }
  std::atomic<std::int64_t> m_source{0};
  std::atomic<std::int64_t> m_target{0};
  std::atomic<std::int64_t> m_throttle{0};
  std::atomic<std::int64_t> m_worked{0};
  std::atomic<std::int64_t> m_source_quickest{k_never};
  std::atomic<std::int64_t> m_target_quickest{k_never};
};

}  // namespace hamal
