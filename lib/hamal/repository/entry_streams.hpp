// The visible entries of a stack for ranges that are asked for in about ascending order, from
// several places at once.
#pragma once
#include <cstdint>
#include <list>
#include <vector>

#include "hamal/repository/entry_cursor.hpp"
#include "hamal/repository/layer_stack.hpp"

namespace hamal::repository {

/// Keeps a few cursors where ranges ended: what goes on there costs no search. Not thread-safe.
class EntryStreams {
 public:
  explicit EntryStreams(LayerStack stack);
  /// Appends what is visible in [begin, end), cut at both.
  void entries(std::uint64_t begin, std::uint64_t end, std::vector<LayerEntry>& to);

 private:
  struct Stream {
    std::uint64_t position = 0;
    EntryCursor cursor;
  };
  EntryCursor& stream_for(std::uint64_t begin, std::uint64_t end);

  LayerStack m_stack;
  std::list<Stream> m_streams;  ///< the last used first
};

}  // namespace hamal::repository
