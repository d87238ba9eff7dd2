// Walks entries by position. Private to the layers.
#pragma once
#include <cstdint>
#include <utility>

#include "hamal/repository/layer.hpp"

namespace hamal::repository {

/// The part [begin, end) of an entry.
LayerEntry cut(const LayerEntry& entry, std::uint64_t begin, std::uint64_t end);

class EntryCursor {
 public:
  explicit EntryCursor(EntrySourcePtr source) : m_source(std::move(source)) {}

  /// The first entry that ends after `offset`, whole; null when there is none. Offsets ascend.
  const LayerEntry* at(std::uint64_t offset) {
    if (m_entry.extent.end() > offset) {
      return &m_entry;
    }
    if (m_source) {
      m_source->skip_to(offset);
    }
    while (m_source && m_entry.extent.end() <= offset) {
      if (!m_source->next(m_entry)) {
        m_entry = {};
        m_source.reset();
      }
    }
    return m_source ? &m_entry : nullptr;
  }

 private:
  EntrySourcePtr m_source;
  LayerEntry m_entry;
};

}  // namespace hamal::repository
