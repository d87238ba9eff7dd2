#include "hamal/util/rate_limit.hpp"

#include <algorithm>

namespace hamal {

std::chrono::nanoseconds RateLimit::take(std::uint64_t bytes, TimePoint now) {
  if (m_bytes_per_second == 0) {
    return std::chrono::nanoseconds(0);
  }
  const std::lock_guard lock(m_mutex);
  const std::chrono::duration<double> cost(static_cast<double>(bytes) /
                                           static_cast<double>(m_bytes_per_second));
  m_paid_until =
      std::max(m_paid_until, now) + std::chrono::duration_cast<std::chrono::nanoseconds>(cost);
  return m_paid_until - now;
}

}  // namespace hamal
