// Whether a planned disk may be applied to what the target holds: the whole decision, without any
// I/O.
#pragma once
#include <optional>
#include <string>

#include "hamal/state/state.hpp"
#include "hamal/stream/stream_header.hpp"

namespace hamal {

enum class Incremental {
  automatic,  ///< incremental where it is safe, full with a reason where not
  require,    ///< a full is an error (exit 5)
  never,      ///< a delta is an error (exit 5)
};

/// Whether the plan of an interrupted run is at hand, so that changes alone can mend its target.
enum class RecordedPlan { lost, kept };

/// Throws Error(base_mismatch) when the stream's delta does not start where the target is, or when
/// the mode is not the one that was asked for. `checkpoint` and `mark` are the target's.
void check_applicable(const StreamDisk& disk, Incremental wanted,
                      const std::optional<Checkpoint>& checkpoint,
                      const std::optional<InProgress>& mark, RecordedPlan recorded,
                      const std::string& target);

}  // namespace hamal
