// How a run goes on where an earlier one was interrupted (design rules 2 and 3).
//
//   the mark says: "in progress, base A -> snapshot B", with the planned delta and what of it is
//   done
//
//   same snapshot B     the recorded plan, less what is durably done
//   newer snapshot C    since the same base A: A -> C and, read from C, all that was planned then
//                       (A -> C alone leaves stale bytes: hole at A, written at B, discarded at C)
//   anything else       a full
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hamal/block/block_reader.hpp"
#include "hamal/extent/spool.hpp"
#include "hamal/state/state.hpp"
#include "hamal/stream/stream_header.hpp"

namespace hamal {

enum class Continuation {
  none,           ///< nothing was interrupted, or it is of no use
  same_snapshot,  ///< the rest of the recorded plan
  united_plans,   ///< the recorded plan's ranges are copied again from the newer snapshot
};

/// The plan that the mark names; nullopt when its file is gone or damaged.
std::optional<Spool> recorded_plan(const InProgress& mark);

/// What the mark means for a planned disk of the snapshot `snapshot_id`.
Continuation continuation(const InProgress& mark, const StreamDisk& disk,
                          const std::string& snapshot_id);

/// Reads some blocks of what is said to be finished from both sides, chosen by `seed` over all of
/// it: the offset of the first that differs. A few dozen small reads of each side, and one pass
/// over the plan.
std::optional<std::uint64_t> first_difference(BlockReader& source, BlockReader& target,
                                              ExtentSourcePtr plan,
                                              const std::vector<Extent>& finished,
                                              const std::string& seed);

/// Writes a plan of what is in either; what is only in `recorded` is data, whatever it was: what it
/// is now, the source says.
ExtentTotals unite_plans(const std::filesystem::path& into, std::uint64_t disk_size,
                         const Spool& recorded, const Spool& planned);

}  // namespace hamal
