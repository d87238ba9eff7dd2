#include "hamal/sync/finished_ranges.hpp"

#include <algorithm>
#include <iterator>

namespace hamal {

void FinishedRanges::add(std::uint64_t begin, std::uint64_t end) {
  const std::lock_guard lock(m_mutex);
  auto next = m_ranges.upper_bound(begin);
  if (next != m_ranges.begin() && std::prev(next)->second >= begin) {
    --next;
    begin = next->first;
  }
  while (next != m_ranges.end() && next->first <= end) {
    end = std::max(end, next->second);
    next = m_ranges.erase(next);
  }
  m_ranges.emplace_hint(next, begin, end);
}

std::vector<Extent> FinishedRanges::ranges() const {
  const std::lock_guard lock(m_mutex);
  std::vector<Extent> all;
  all.reserve(m_ranges.size());
  for (const auto& [begin, end] : m_ranges) {
    all.push_back({begin, end - begin, ExtentKind::data});
  }
  return all;
}

void FinishedRanges::reset(const std::vector<Extent>& ranges) {
  const std::lock_guard lock(m_mutex);
  m_ranges.clear();
  for (const Extent& range : ranges) {
    m_ranges.emplace(range.offset, range.end());
  }
}

}  // namespace hamal
