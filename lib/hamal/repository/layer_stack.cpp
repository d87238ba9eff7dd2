// Several layers seen as one disk.
#include "hamal/repository/layer_stack.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/generated.hpp"
#include "hamal/repository/entry_cursor.hpp"

namespace hamal::repository {
namespace {

/// At each position the newest source that has an entry there tells it, up to where a newer one
/// begins. Older sources are not even asked meanwhile: what they lag behind is skipped at once when
/// their turn comes.
class Overlay final : public EntrySource {
 public:
  Overlay(std::vector<EntrySourcePtr> newest_first, std::uint64_t begin) : m_position(begin) {
    m_cursors.reserve(newest_first.size());
    for (EntrySourcePtr& source : newest_first) {
      m_cursors.emplace_back(std::move(source));
    }
  }

  bool next(LayerEntry& entry) override {
    for (;;) {
      std::uint64_t limit = std::numeric_limits<std::uint64_t>::max();
      for (EntryCursor& cursor : m_cursors) {
        const LayerEntry* found = cursor.at(m_position);
        if (found == nullptr) {
          continue;
        }
        if (found->extent.offset <= m_position) {
          entry = cut(*found, m_position, std::min(limit, found->extent.end()));
          m_position = entry.extent.end();
          return true;
        }
        limit = std::min(limit, found->extent.offset);
      }
      if (limit == std::numeric_limits<std::uint64_t>::max()) {
        return false;
      }
      m_position = limit;
    }
  }

  void skip_to(std::uint64_t offset) override { m_position = std::max(m_position, offset); }

 private:
  std::vector<EntryCursor> m_cursors;
  std::uint64_t m_position;
};

class EntryExtents final : public GeneratedSource {
 public:
  explicit EntryExtents(EntrySourcePtr entries) : m_entries(std::move(entries)) {}

 private:
  bool produce(Extent& extent) override {
    LayerEntry entry;
    if (!m_entries->next(entry)) {
      return false;
    }
    extent = entry.extent;
    return true;
  }

  EntrySourcePtr m_entries;
};

}  // namespace

LayerEntry cut(const LayerEntry& entry, std::uint64_t begin, std::uint64_t end) {
  LayerEntry part = entry;
  part.extent.offset = begin;
  part.extent.length = end - begin;
  if (entry.extent.kind == ExtentKind::data) {
    part.skip += static_cast<std::uint32_t>(begin - entry.extent.offset);
  }
  return part;
}

EntrySourcePtr overlay_entries(std::vector<EntrySourcePtr> newest_first, std::uint64_t begin) {
  return std::make_unique<Overlay>(std::move(newest_first), begin);
}

EntrySourcePtr visible_entries(const LayerStack& stack, std::uint64_t begin) {
  std::vector<EntrySourcePtr> sources;
  sources.reserve(stack.size());
  for (const std::shared_ptr<Layer>& layer : stack) {
    sources.push_back(layer->entries(begin));
  }
  return overlay_entries(std::move(sources), begin);
}

ExtentSourcePtr extents_of(EntrySourcePtr entries) {
  return coalesce(std::make_unique<EntryExtents>(std::move(entries)));
}

std::size_t layers_to_merge(std::uint64_t new_entries, const std::vector<std::uint64_t>& below) {
  std::uint64_t merged = new_entries;
  std::size_t count = 0;
  for (const std::uint64_t entries : below) {
    if (entries / 4 >= merged && entries != 0) {
      break;
    }
    merged += std::min(entries, std::numeric_limits<std::uint64_t>::max() - merged);
    ++count;
  }
  return count;
}

}  // namespace hamal::repository
