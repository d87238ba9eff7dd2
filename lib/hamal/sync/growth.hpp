// How many workers pay: more of them as long as latency is what is waited for, and each step brings
// something.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>

namespace hamal {

/// Hill climbing from a start to a ceiling, after a leap as soon as answers are seen to be very
/// late: a copy of a second cannot wait for measurements. (Below that the requests of a few workers
/// fill the line: 2 x 64 x 256 KiB in 30 ms are 1 GB/s, and on 2 processors 8 workers were slower
/// than 2 at 10 and 20 ms, by up to a third.) Used by one thread.
class Growth {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  Growth(unsigned start, unsigned most, TimePoint now)
      : m_wanted(start), m_most(most), m_since(now) {}

  /// How many there should be now. `bytes` is all that moved so far; `latency` the quickest answer
  /// ever seen: below some milliseconds, more requests at once only queue up elsewhere.
  unsigned wanted(std::uint64_t bytes, std::chrono::nanoseconds latency, TimePoint now) {
    if (!m_leapt && latency >= k_very_late) {
      m_leapt = true;
      m_before = m_wanted;
      m_wanted = std::min(m_wanted * k_leap, m_most);
      m_settled = m_wanted >= m_most;
      m_bytes = bytes;
      m_since = now;
      return m_wanted;
    }
    const auto elapsed = now - m_since;
    if (m_settled || elapsed < std::max<std::chrono::nanoseconds>(k_window, 4 * latency)) {
      return m_wanted;
    }
    const double rate =
        static_cast<double>(bytes - m_bytes) / std::chrono::duration<double>(elapsed).count();
    m_bytes = bytes;
    m_since = now;
    if (rate < m_rate * k_gain) {
      m_settled = true;
      m_wanted = rate < m_rate * k_loss ? m_before : m_wanted;
    } else if (latency < k_latency || m_wanted >= m_most) {
      m_settled = m_wanted >= m_most;
    } else {
      m_rate = rate;
      m_before = m_wanted;
      m_wanted = std::min(m_wanted * 2, m_most);
    }
    return m_wanted;
  }

 private:
  static constexpr std::chrono::milliseconds k_window{100};
  static constexpr std::chrono::milliseconds k_latency{4};
  static constexpr std::chrono::milliseconds k_very_late{30};
  static constexpr unsigned k_leap = 4;
  static constexpr double k_gain = 1.1;
  static constexpr double k_loss = 0.9;

  unsigned m_wanted;
  unsigned m_most;
  unsigned m_before = m_wanted;
  TimePoint m_since;
  std::uint64_t m_bytes = 0;
  double m_rate = 0;
  bool m_leapt = false;
  bool m_settled = false;
};

}  // namespace hamal
