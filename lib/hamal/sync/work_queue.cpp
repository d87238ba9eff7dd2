#include "hamal/sync/work_queue.hpp"

#include <algorithm>

namespace hamal {

WorkQueue::WorkQueue(ExtentSource& plan, std::uint32_t data_piece, std::uint64_t zero_piece)
    : m_plan(plan), m_data_piece(data_piece), m_zero_piece(zero_piece) {}

bool WorkQueue::next(Extent& piece) {
  const std::lock_guard lock(m_mutex);
  while (m_index == m_window.size()) {
    m_index = 0;
    if (!m_plan.next(m_window)) {
      m_window.clear();
      return false;
    }
  }
  const Extent& extent = m_window[m_index];
  const std::uint64_t bound = extent.kind == ExtentKind::data ? m_data_piece : m_zero_piece;
  const std::uint64_t begin = extent.offset + m_taken;
  const std::uint64_t to_boundary = bound - begin % bound;
  piece = {begin, std::min(to_boundary, extent.end() - begin), extent.kind};
  m_taken += piece.length;
  if (m_taken == extent.length) {
    m_taken = 0;
    ++m_index;
  }
  return true;
}

}  // namespace hamal
