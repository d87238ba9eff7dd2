// Where two stacks of layers differ.
#include <algorithm>
#include <utility>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/cursor.hpp"
#include "hamal/extent/generated.hpp"
#include "hamal/repository/entry_cursor.hpp"
#include "hamal/repository/layer_stack.hpp"

namespace hamal::repository {
namespace {

/// What a stack shows from `begin` on up to `end`: zeros, or bytes of a record.
struct Piece {
  std::uint64_t end = 0;
  bool is_zero = true;
  LayerEntry entry;  ///< of data, beginning at the position that was asked for
};

Piece piece_at(EntryCursor& cursor, std::uint64_t begin, std::uint64_t end) {
  const LayerEntry* entry = cursor.at(begin);
  if (entry == nullptr || entry->extent.offset >= end) {
    return {end, true, {}};
  }
  if (entry->extent.offset > begin) {
    return {entry->extent.offset, true, {}};
  }
  const std::uint64_t last = std::min(end, entry->extent.end());
  if (entry->extent.kind == ExtentKind::zero) {
    return {last, true, {}};
  }
  return {last, false, cut(*entry, begin, last)};
}

bool same_bytes(const Piece& one, const Piece& other) {
  if (one.is_zero || other.is_zero) {
    return one.is_zero == other.is_zero;
  }
  return one.entry.id == other.entry.id && one.entry.skip == other.entry.skip;
}

class Differences final : public GeneratedSource {
 public:
  Differences(ExtentSourcePtr where, EntrySourcePtr from, EntrySourcePtr to)
      : m_where(std::move(where)), m_from(std::move(from)), m_to(std::move(to)) {}

 private:
  bool produce(Extent& extent) override {
    while (const Extent* range = m_where.peek()) {
      const std::uint64_t begin = range->offset;
      const Piece from = piece_at(m_from, begin, range->end());
      const Piece to = piece_at(m_to, begin, range->end());
      const std::uint64_t end = std::min(from.end, to.end);
      m_where.trim_to(end);
      if (!same_bytes(from, to)) {
        extent = {begin, end - begin, to.is_zero ? ExtentKind::zero : ExtentKind::data};
        return true;
      }
    }
    return false;
  }

  ExtentCursor m_where;
  EntryCursor m_from;
  EntryCursor m_to;
};

/// How many layers, from the oldest, two stacks have in common: what lies below a layer that only
/// one has may be hidden in one and not in the other, what lies above none of them may not.
std::size_t shared_layers(const LayerStack& one, const LayerStack& other) {
  std::size_t count = 0;
  while (count < one.size() && count < other.size() &&
         one[one.size() - 1 - count]->reference() == other[other.size() - 1 - count]->reference()) {
    ++count;
  }
  return count;
}

}  // namespace

ExtentSourcePtr changed_extents(const LayerStack& from, const LayerStack& to) {
  const std::size_t shared = shared_layers(from, to);
  LayerStack own(from.begin(), from.end() - static_cast<std::ptrdiff_t>(shared));
  own.insert(own.end(), to.begin(), to.end() - static_cast<std::ptrdiff_t>(shared));
  return coalesce(std::make_unique<Differences>(extents_of(visible_entries(own)),
                                                visible_entries(from), visible_entries(to)));
}

}  // namespace hamal::repository
