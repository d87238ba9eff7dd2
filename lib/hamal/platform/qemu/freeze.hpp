// Freezing all disks of a machine together, and letting them go.
//
// Per disk, while a snapshot is held (N is the disk's number in the snapshot):
//
//   device or export → raw filter → SNAPSHOT-cN (copy-before-write) → below
//                                        │ saves what is overwritten to SNAPSHOT-tN (scratch)
//   our export       → SNAPSHOT-sN (snapshot-access) ┘
//
// on-cbw-error=break-snapshot: when the scratch cannot be written the snapshot is lost, and the
// guest's write goes on. Every name follows from the snapshot's id, so releasing needs nothing but
// the id and can be repeated at any point.
#pragma once
#include <string>
#include <vector>

#include "hamal/platform/qemu/bitmaps.hpp"
#include "hamal/platform/qemu/scratch.hpp"

namespace hamal::qemu {

struct FreezeRequest {
  SnapshotName snapshot;
  std::vector<QemuDisk> disks;
  ScratchSettings scratch;
  std::string nbd_socket;
};

/// Freezes; `handovers` tells, also when it throws, what became of the bitmaps. After an error the
/// caller releases the snapshot and undoes the handovers. Returns the wall time of the freeze, RFC
/// 3339.
std::string freeze(QmpClient& qmp, const FreezeRequest& request,
                   std::vector<BitmapHandover>& handovers);

/// Ends exports, filters, scratch nodes and files of a snapshot; keeps its bitmaps. May be
/// repeated.
void release(QmpClient& qmp, const SnapshotName& snapshot, const std::string& scratch_directory,
             Logger& log);

/// Snapshots of which anything but a bitmap is left.
std::vector<SnapshotName> held_snapshots(const BlockGraph& graph,
                                         const std::vector<std::string>& exports);

/// The frozen view of a disk in this snapshot; empty when it has none.
std::string frozen_node(const BlockGraph& graph, const QemuDisk& disk,
                        const SnapshotName& snapshot);

}  // namespace hamal::qemu
