#include "hamal-sync/first_fulls.hpp"

#include <algorithm>

#include "hamal/stream/snapshot_document.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

// A mark knows the vm by its id; its snapshot's document and its other disks know the name.
std::string name_of(const DiskIdentity& disk, const std::string& snapshot_id,
                    const std::vector<Checkpoint>& checkpoints, State& state) {
  for (const Checkpoint& c : checkpoints) {
    if (c.identity.platform == disk.platform && c.identity.vm_id == disk.vm_id) {
      return c.vm_name;
    }
  }
  for (const SnapshotRecord& record : state.list_snapshots()) {
    if (record.platform == disk.platform && record.snapshot_id == snapshot_id &&
        !record.document.empty()) {
      try {
        return parse_snapshot_document(record.document, snapshot_id).vm_name;
      } catch (const Error&) {  // damaged: no reason to list nothing
        break;
      }
    }
  }
  return disk.vm_id;
}

}  // namespace

void add_first_fulls(std::vector<Checkpoint>& checkpoints, State& state) {
  for (const InProgress& mark : state.list_in_progress()) {
    if (std::any_of(checkpoints.begin(), checkpoints.end(),
                    [&](const Checkpoint& c) { return c.identity == mark.identity; })) {
      continue;
    }
    Checkpoint first;
    first.identity = mark.identity;
    first.vm_name = name_of(mark.identity, mark.snapshot_id, checkpoints, state);
    first.snapshot_id = mark.snapshot_id;
    first.target_uri = mark.identity.target;
    checkpoints.push_back(std::move(first));
  }
}

}  // namespace hamal
