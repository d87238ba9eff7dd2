// What a verify found damaged, told to the writers: the next run stores again what its source still
// has (hamal-repository(5), DAMAGE).
#pragma once
#include "hamal/repository/repository.hpp"

namespace hamal::repository {

/// Puts damaged/N, one more than the last. Nothing for an empty set.
void mark_damaged(Repository& repository, const PackSet& packs);

/// All that were ever marked.
PackSet damaged_packs(Repository& repository);

/// The ranges of a disk whose records lie in one of `packs`: adjacent ones joined. Walks the
/// disk's index; empty without a request when there are none.
ExtentSourcePtr damaged_extents(Repository& repository, const DiskVersion& disk,
                                const PackSet& packs);

}  // namespace hamal::repository
