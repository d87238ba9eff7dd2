#include "hamal/sync/durable_progress.hpp"

#include <utility>

namespace hamal {

DurableProgress::DurableProgress(std::vector<Extent> durable, Periods periods, Record record,
                                 TimePoint now)
    : m_written(durable),
      m_durable(std::move(durable)),
      m_periods(periods),
      m_record(std::move(record)),
      m_next(now + periods.flush) {}

void DurableProgress::tick(BlockWriter& target, TimePoint now) {
  if (now < m_next) {
    return;
  }
  if (m_written.ranges() != m_durable) {
    flush(target);
    record();
  }
  m_next = std::chrono::steady_clock::now() + m_periods.flush;
}

void DurableProgress::flush(BlockWriter& target) {
  std::vector<Extent> written = m_written.ranges();
  const auto begin = std::chrono::steady_clock::now();
  target.flush(m_periods.bounds);
  m_flush_ms += static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                               std::chrono::steady_clock::now() - begin)
                                               .count());
  advance(std::move(written));
}

void DurableProgress::advance(std::vector<Extent> durable) {
  ++m_flushes;
  m_durable = std::move(durable);
}

}  // namespace hamal
