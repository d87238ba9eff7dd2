// A token bucket: how fast bytes may move, whoever moves them.
#pragma once
#include <chrono>
#include <cstdint>
#include <mutex>

namespace hamal {

/// Thread-safe; one for all who share a bandwidth.
class RateLimit {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  /// 0: no limit.
  explicit RateLimit(std::uint64_t bytes_per_second) : m_bytes_per_second(bytes_per_second) {}
  /// Takes what is about to move and says how long the caller must wait before it moves more. What
  /// was taken may go at once: a debt is waited for afterwards, by whoever comes next.
  std::chrono::nanoseconds take(std::uint64_t bytes, TimePoint now);

 private:
  const std::uint64_t m_bytes_per_second;
  std::mutex m_mutex;
  TimePoint m_paid_until{};  // when all that was taken will have moved at the allowed rate
};

}  // namespace hamal
