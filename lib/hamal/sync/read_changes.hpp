// Deciding, per disk, from which base changes are read, and opening them: what hamal-cbt-read
// streams and hamal-sync's direct form consumes.
#pragma once
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/block/endpoint.hpp"
#include "hamal/extent/extent.hpp"
#include "hamal/platform/platform.hpp"
#include "hamal/state/state.hpp"
#include "hamal/stream/snapshot_document.hpp"
#include "hamal/stream/stream_header.hpp"

namespace hamal {

/// Where one disk's changes count from.
struct Base {
  std::string change_id;  ///< empty: a full
  std::string reason;     ///< why a full; for an incremental, where the base comes from
};

/// Asked once per chosen disk. `index` is the disk's place in the document, whatever was chosen.
using BaseChooser =
    std::function<Base(const SnapshotDocument&, const SnapshotDisk&, std::size_t index)>;

/// What the reader of the changes does about an interrupted run: hamal-sync copies its plan again
/// from an extent stream; a data stream would have to bring those bytes.
enum class Interrupted { mended, not_mended };

/// Design rule 4 on what is known of a disk on its target: only a checkpoint of the same size with
/// a change id is a base, and after an interrupted run only where that `interrupted` run counted
/// from it too and is mended. Anything else is a full with its reason.
Base base_of_checkpoint(const SnapshotDisk& disk, const std::optional<Checkpoint>& checkpoint,
                        const std::optional<InProgress>& interrupted, Interrupted how);

/// The base of one disk on one target: its checkpoint there, unless the target is a file that is
/// gone.
Base base_on_target(State& state, const SnapshotDocument& document, const SnapshotDisk& disk,
                    const Endpoint& target, Interrupted how);

/// What makes an endpoint of a URI: parse_endpoint(), and what else its kind needs.
using EndpointParser = std::function<Endpoint(const std::string& uri)>;
/// Looks the checkpoint up in `state` (which outlives the chooser) by the canonical identity of the
/// expanded pattern.
BaseChooser base_of_target(State& state, const std::string& target_pattern, Interrupted how,
                           const EndpointParser& parse);
/// Checkpoints that came as files. One that is of another platform, vm or none of the document's
/// disks is an Error(usage); a disk without one is a full.
BaseChooser base_of_checkpoints(std::vector<Checkpoint> checkpoints);
/// Each item "CHANGE_ID" (for every disk) or "DISK=CHANGE_ID".
BaseChooser base_of_change_ids(const std::vector<std::string>& since);
BaseChooser full_base(std::string reason);

struct DiskChanges {
  StreamDisk header;
  ExtentSourcePtr extents;  ///< validated: inside the disk, ascending (rule 6)
};

/// Opens the changes of the disks at those places of the document (empty: all of them), in document
/// order. The platform outlives the result.
std::vector<DiskChanges> read_changes(Platform& platform, const SnapshotDocument& document,
                                      const std::vector<std::size_t>& disks,
                                      const BaseChooser& choose);

/// The header of either stream format.
StreamHeader stream_header(const SnapshotDocument& document,
                           const std::vector<DiskChanges>& changes);

/// The places of the disks named by id or index; throws Error(usage) naming the ones there are.
std::vector<std::size_t> find_disks(const SnapshotDocument& document,
                                    const std::vector<std::string>& ids);

}  // namespace hamal
