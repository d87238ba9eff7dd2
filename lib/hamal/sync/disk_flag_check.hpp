// Whether a target is still what its checkpoint says, asked before the first byte of it changes.
//
//   no checkpoint, or it has no samples       none
//   the operator released the target          skipped: it is expected to differ, and a full follows
//   skip_disk_flag, a disk below the limit    skipped
//   an interrupted full                       skipped: nobody knows what it wrote; identity only
//   an interrupted incremental                what its plan and the new one touch does not count
//   else                                      every sample counts
//
// A target that differs is wrong_target (exit 6), whatever the mode: a full would overwrite what
// somebody did there. Only a full with --force goes on; a delta onto another base never does.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "hamal/block/block_reader.hpp"
#include "hamal/extent/extent.hpp"
#include "hamal/state/state.hpp"
#include "hamal/stream/stream_header.hpp"
#include "hamal/target/target.hpp"

namespace hamal {

/// skip_disk_flag and disk_flag_size of the platform's type.
struct DiskFlagPolicy {
  bool skip = false;
  std::uint64_t smallest_disk = 48ULL << 20;  ///< bytes; below it no samples
};

enum class FlagVerdict { none, skipped, matched, differs, overridden };
const char* to_string(FlagVerdict verdict) noexcept;

/// What a run did about the disk flag of one target.
struct FlagReport {
  FlagVerdict verdict = FlagVerdict::none;
  std::string reason;  ///< of none, skipped, differs and overridden
  std::size_t compared = 0;
  std::size_t ignored = 0;
  std::size_t wrong = 0;
  std::size_t taken = 0;  ///< samples that were committed with the new checkpoint
};

struct FlagQuestion {
  const StreamDisk& disk;
  const std::optional<Checkpoint>& checkpoint;
  const std::optional<InProgress>& mark;
  DiskFlagPolicy policy;
  Force force = Force::no;
  std::string target;                     ///< as messages name it
  std::function<ExtentSourcePtr()> plan;  ///< what this run is going to change, from its start
};

/// Why there is nothing to compare, without looking at the target; empty when there is.
FlagReport why_unchecked(const FlagQuestion& question);

/// Fills `report` and throws Error(wrong_target) when the target differs and nothing overrides it.
/// Reads at most the samples.
void check_disk_flag(BlockReader& target, const std::string& key, const FlagQuestion& question,
                     FlagReport& report);

/// The text for `next.disk_flag`, read from the target as it is now; empty for a disk too small.
std::string take_disk_flag(BlockReader& target, const std::string& key, const Checkpoint& next,
                           const std::optional<Checkpoint>& before, const DiskFlagPolicy& policy,
                           const std::function<ExtentSourcePtr()>& plan, FlagReport& report);

}  // namespace hamal
