// A disk of a version: its layers, the newest hiding those below.
#pragma once
#include <memory>
#include <vector>

#include "hamal/repository/layer.hpp"

namespace hamal::repository {

using LayerStack = std::vector<std::shared_ptr<Layer>>;  ///< newest first

/// Several sources, newest first, seen as one from `begin` on; what visible_entries() does, for
/// entries that are not all in stored layers.
EntrySourcePtr overlay_entries(std::vector<EntrySourcePtr> newest_first, std::uint64_t begin = 0);

/// What is visible from `begin` on: entries cut where a newer layer hides them. What no layer
/// covers is zero and not told. Memory: a block per layer.
EntrySourcePtr visible_entries(const LayerStack& stack, std::uint64_t begin = 0);

/// Adjacent ranges of one kind joined.
ExtentSourcePtr extents_of(EntrySourcePtr entries);

/// Where `to` differs from `from`, with the kind it has in `to`; looks only where layers that the
/// two do not share have entries. Records of one id (and skip) are the same bytes.
ExtentSourcePtr changed_extents(const LayerStack& from, const LayerStack& to);

/// Which layers a new one on top of `below` (newest first, numbers of entries) should be merged
/// with, so that each is at least four times as large as the one above: how many of `below`, from
/// the newest. Merged entries keep hiding what they hid.
std::size_t layers_to_merge(std::uint64_t new_entries, const std::vector<std::uint64_t>& below);

}  // namespace hamal::repository
