#include "hamal/repository/entry_streams.hpp"

#include <algorithm>
#include <utility>

namespace hamal::repository {
namespace {

constexpr std::size_t k_streams = 4;

}  // namespace

EntryStreams::EntryStreams(LayerStack stack) : m_stack(std::move(stack)) {}

EntryCursor& EntryStreams::stream_for(std::uint64_t begin, std::uint64_t end) {
  auto best = m_streams.end();
  for (auto at = m_streams.begin(); at != m_streams.end(); ++at) {
    if (at->position <= begin && (best == m_streams.end() || at->position > best->position)) {
      best = at;
    }
  }
  if (best == m_streams.end()) {
    if (m_streams.size() == k_streams) {
      m_streams.pop_back();
    }
    m_streams.push_front({begin, EntryCursor(visible_entries(m_stack, begin))});
    best = m_streams.begin();
  }
  m_streams.splice(m_streams.begin(), m_streams, best);
  best->position = end;
  return best->cursor;
}

void EntryStreams::entries(std::uint64_t begin, std::uint64_t end, std::vector<LayerEntry>& to) {
  try {
    EntryCursor& cursor = stream_for(begin, end);
    while (begin < end) {
      const LayerEntry* entry = cursor.at(begin);
      if (entry == nullptr || entry->extent.offset >= end) {
        return;
      }
      const std::uint64_t from = std::max(begin, entry->extent.offset);
      const std::uint64_t to_end = std::min(end, entry->extent.end());
      to.push_back(cut(*entry, from, to_end));
      begin = to_end;
    }
  } catch (...) {
    m_streams.clear();  // a source that threw is spent
    throw;
  }
}

}  // namespace hamal::repository
