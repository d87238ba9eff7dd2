// Adds, hands over, merges and removes our bitmaps on one format node.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hamal/platform/qemu/bitmap_chain.hpp"
#include "hamal/platform/qemu/inventory.hpp"
#include "hamal/platform/qemu/names.hpp"

namespace hamal::qemu {

/// What was done to one disk's bitmaps while a snapshot is made; enough to undo it.
struct BitmapHandover {
  std::string node;
  std::string added;                   ///< empty: this disk is not tracked
  std::string failure;                 ///< why not
  std::vector<std::string> recording;  ///< ours that recorded before: to be disabled
  std::vector<std::string> disabled;   ///< those that were
  LostBitmaps lost;
};

/// Before the freeze: removes what can only be removed, adds the snapshot's bitmap.
void add_bitmap(QmpClient& qmp, const QemuDisk& disk, const BlockNode& format,
                const SnapshotName& snapshot, BitmapHandover& handover);
/// After the freeze.
void disable_previous(QmpClient& qmp, BitmapHandover& handover);
/// The older bitmaps go on recording and learn what only the added one saw.
void undo_handover(QmpClient& qmp, const BitmapHandover& handover);

/// Removes one; one that is gone already is no error.
void remove_bitmap(QmpClient& qmp, const std::string& node, const std::string& name);
/// Adds a temporary one that records nothing and holds the union of the others. In a transaction:
/// QEMU ends all requests in flight first, so what was written before the call is in it.
void merge_bitmaps(QmpClient& qmp, const std::string& node, const std::string& target,
                   const std::vector<std::string>& sources, std::uint64_t granularity);
/// Removes this installation's that are older than `oldest_needed`.
void remove_older(QmpClient& qmp, const BlockNode& format, const std::string& mark,
                  std::uint32_t oldest_needed);
/// Removes the temporary ones of a snapshot.
void remove_read_bitmaps(QmpClient& qmp, const BlockNode& node, const SnapshotName& snapshot);

}  // namespace hamal::qemu
