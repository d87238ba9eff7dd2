// The life of a snapshot as the state records it: what hamal-snapshot does step by step and
// hamal-sync's direct form does around a run.
//
//   lock the vm ─► intent in the state ─► freeze ─► record with the document ─► … ─► end, forget
//
// Whatever fails between the freeze and the record ends the snapshot again.
#pragma once
#include <string>
#include <vector>

#include "common/session.hpp"
#include "common/vm_operand.hpp"
#include "hamal/block/endpoint.hpp"
#include "hamal/util/file_lock.hpp"

namespace hamal {

/// The id of a vm given by id or name; throws Error(usage) naming the ones there are. The vm of an
/// ad-hoc platform is what was given.
std::string resolve_vm(Platform& platform, const Session& session, const VmOperand& vm);

FileLock lock_vm(Session& session, const std::string& platform, const std::string& vm_id,
                 std::chrono::milliseconds wait, const CancelToken& cancel);

/// The change ids that checkpoints and interrupted runs of the document's disks, on any target,
/// still count from (rule 11).
std::vector<std::string> still_needed(State& state, const SnapshotDocument& document);

struct SnapshotWish {
  VmOperand vm;
  std::string vm_id;  ///< of resolve_vm()
  SnapshotOptions options;
};

/// Creates and records; leaves nothing behind when it throws. The caller holds the vm's lock.
SnapshotDocument create_recorded(const SnapshotWish& wish, Session& session, Platform& platform);

/// Ends it on the platform and forgets its record. The caller holds the vm's lock.
void end_snapshot(const SnapshotDocument& document, Outcome outcome, Session& session,
                  Platform& platform);

/// Ends it as failed with a platform and a token of its own: the run's token may be the reason why
/// we are here. Never throws a hamal::Error: it says how to end the snapshot by hand. The caller
/// holds the vm's lock.
void undo_snapshot(const SnapshotDocument& document, Session& session);
/// The same for a caller that does not hold the lock (any more).
void lock_and_undo(const SnapshotDocument& document, Session& session);

/// The document of a snapshot of ours that is held, from the state: an endpoint
/// NAME:VM/DISK@SNAPSHOT is enough to read it. Throws Error(usage) when none was recorded.
SnapshotDocument recorded_document(const Endpoint& endpoint, Session& session);

}  // namespace hamal
