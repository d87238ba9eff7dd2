// A snapshot of an image as a frozen disk: what changed since another one, reading it, and whether
// it is still there. For all platforms whose disks are in Ceph.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "hamal/block/rbd_reader.hpp"
#include "hamal/platform/ceph_clusters.hpp"
#include "hamal/platform/platform.hpp"
#include "hamal/platform/rbd_names.hpp"

namespace hamal {

/// Fills size, change id and source from the snapshot of that name. Throws Error when it is not
/// there.
void describe_frozen_rbd(SnapshotDisk& disk, Endpoint endpoint, const std::string& snapshot,
                         CephClusters& clusters);

/// `source` is an rbd: endpoint. Throws Error(failed) when its size is not the disk's.
std::unique_ptr<RbdReader> open_frozen_rbd(const SnapshotDisk& disk, CephClusters& clusters);

/// As Platform::changed_extents() has it. The extents fail with a transient Error at their end when
/// the snapshot that they count from was removed meanwhile.
Changes changes_of_frozen_rbd(const SnapshotDisk& disk, const std::string& base,
                              CephClusters& clusters);

/// Asked of an image that is opened now; empty: the snapshot that the source names is what it was
/// when the disk was described.
std::string why_frozen_rbd_is_lost(const SnapshotDisk& disk, CephClusters& clusters);

/// Whether one of the change ids is that snapshot.
bool names_rbd_snapshot(const std::vector<std::string>& change_ids, const std::string& image,
                        std::uint64_t snapshot);

}  // namespace hamal
