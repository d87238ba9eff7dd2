// Which bitmaps together say what changed between two snapshots.
//
// The bitmap of snapshot S records the changes from S on. When the next snapshot S' is made, its
// bitmap is added before the freeze and S's is disabled after it, so their times overlap: both may
// report too much, neither can miss a write. The name of S' bitmap says which bitmap was recording
// at that moment; following these links from the newer snapshot back to the older one, every write
// in between is in at least one of them, or the chain is broken and only a full will do.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "hamal/platform/qemu/block_graph.hpp"

namespace hamal::qemu {

/// Bitmaps that could only be removed when the snapshot was made, with the reason.
using LostBitmaps = std::map<std::string, std::string>;

struct BitmapChain {
  std::vector<std::string> bitmaps;  ///< their union covers the changes; newest first
  std::uint64_t granularity = 0;     ///< the finest of them
  std::string broken;                ///< why they do not, for people; empty when they do
};

/// `base` and `own` are change ids (names of bitmaps) of the older and the newer snapshot.
BitmapChain find_chain(const std::vector<BitmapState>& bitmaps, const std::string& base,
                       const std::string& own, const LostBitmaps& lost);

/// RAND of the bitmap that the next one continues: the newest of this installation that is
/// recording and sound; "none" when there is none.
std::string previous_of_next(const std::vector<BitmapState>& bitmaps, const std::string& mark);

}  // namespace hamal::qemu
