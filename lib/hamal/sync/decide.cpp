#include "hamal/sync/decide.hpp"

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

constexpr const char* k_full_hint =
    "hamal-cbt-read --full makes the stream of a full copy; with --target it chooses by itself";

[[noreturn]] void refuse(const std::string& what, const std::string& target,
                         const std::string& hint = k_full_hint) {
  throw Error(ErrorKind::base_mismatch, what, target, hint);
}

}  // namespace

void check_applicable(const StreamDisk& disk, Incremental wanted,
                      const std::optional<Checkpoint>& checkpoint,
                      const std::optional<InProgress>& mark, RecordedPlan recorded,
                      const std::string& target) {
  if (disk.mode == SyncMode::full) {
    // The first copy onto a target cannot be anything but a full, in one go or continued: require
    // forbids falling back to one.
    const bool first = !checkpoint && (!mark || recorded == RecordedPlan::kept);
    if (wanted == Incremental::require && !first) {
      refuse("only a full copy is possible and --incremental=require forbids it: " + disk.reason,
             target, "run without --incremental=require to copy all of it");
    }
    return;
  }
  if (wanted == Incremental::never) {
    refuse("the stream holds changes only and --incremental=never asks for a full copy", target);
  }
  if (checkpoint && !checkpoint->released.empty()) {
    refuse(
        "the target was released on " + checkpoint->released + " and the stream holds changes only",
        target);
  }
  const bool mendable = mark && mark->mode == SyncMode::incremental &&
                        mark->base_change_id == disk.base_change_id &&
                        recorded == RecordedPlan::kept;
  if (mark && !mendable) {
    refuse("an earlier run (started " + mark->started +
               ") was interrupted while it changed this target: changes alone cannot repair it",
           target);
  }
  if (!checkpoint) {
    refuse("the stream holds changes since " + disk.base_change_id +
               " and this target has no checkpoint",
           target);
  }
  if (checkpoint->change_id != disk.base_change_id) {
    refuse("the stream holds changes since " + disk.base_change_id +
               " and the checkpoint of this target is at " +
               (checkpoint->change_id.empty() ? "no change id" : checkpoint->change_id),
           target);
  }
  if (checkpoint->size != disk.size) {
    refuse("the disk now has " + std::to_string(disk.size) +
               " bytes and the checkpoint of this target is of " + std::to_string(checkpoint->size),
           target);
  }
}

}  // namespace hamal
