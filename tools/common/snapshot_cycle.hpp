// The life of a snapshot as the state records it: what hamal-snapshot does step by step and
// hamal-sync's direct form does around a run.
//
//   lock the vm ─► one held for an interrupted run? ── yes ──────────────────────┐
//                    │ no                                                        ▼
//                    └► intent in the state ─► freeze ─► record with the document ─► …
//
//   … ─► does an in-progress mark need it? ── yes ─► stays held, and recorded
//                    │ no
//                    └► end, forget
//
// Whatever fails between the freeze and the record ends the snapshot again.
#pragma once
#include <string>
#include <vector>

#include "common/held_verdict.hpp"
#include "common/session.hpp"
#include "common/vm_lock.hpp"
#include "common/vm_operand.hpp"
#include "hamal/block/endpoint.hpp"

namespace hamal {

/// The id of a vm given by id or name; throws Error(usage) naming the ones there are. The vm of an
/// ad-hoc platform is what was given.
std::string resolve_vm(Platform& platform, Session& session, const VmOperand& vm);

/// The same of a vm that may be gone, where that is bearable (Platform::ends_without_vm): then the
/// records tell its id, or it is the id itself.
std::string resolve_recorded_vm(Platform& platform, Session& session, const VmOperand& vm);

/// The change ids that checkpoints and interrupted runs of the document's disks, on any target,
/// still count from (rule 11).
std::vector<std::string> still_needed(State& state, const SnapshotDocument& document);

/// The same of all disks: the disk may have been called otherwise then.
std::vector<std::string> all_needed(State& state);

/// Whom a snapshot is recorded for: a run that has the vm's lock from its beginning to its end,
/// whoever is given the document, or a run of hamal-period.
enum class Holder { attached, handed_out, period };
const char* to_string(Holder holder);

/// Whether a snapshot held for an interrupted run may be ended for another one: a dry run may not.
enum class GiveUp { no, yes };

struct SnapshotWish {
  VmOperand vm;
  std::string vm_id;  ///< of resolve_vm()
  SnapshotOptions options;
  Holder holder = Holder::handed_out;
  Fresh fresh = Fresh::no;
  GiveUp give_up = GiveUp::yes;
};

enum class Origin { created, resumed };

struct AcquiredSnapshot {
  SnapshotDocument document;
  Origin origin = Origin::created;
};

/// The snapshot to read from: the one held for an interrupted run, else a new one. A new one is
/// recorded, and nothing of it is left when this throws. The caller holds the vm's lock.
AcquiredSnapshot acquire_snapshot(const SnapshotWish& wish, Session& session, Platform& platform);

/// Ends it on the platform and forgets its record. The caller holds the vm's lock.
void end_snapshot(const SnapshotDocument& document, Outcome outcome, Session& session,
                  Platform& platform);

enum class Ending { committed, failed, held };
const char* to_string(Ending ending);

/// After a run: ends the snapshot, unless an in-progress mark names it and the next run can go on
/// from it (rule 11). The caller holds the vm's lock.
Ending settle_snapshot(const SnapshotDocument& document, Outcome outcome, Session& session,
                       Platform& platform);

/// Settles as failed with a platform and a token of its own: the run's token may be the reason why
/// we are here. An interrupted run never ends what an earlier one made. Never throws a
/// hamal::Error: it says what to do by hand. The caller holds the vm's lock.
void settle_failed(const AcquiredSnapshot& snapshot, Session& session);

/// Ends what was just made, which nobody else can be using, as failed, with a platform and a token
/// of its own; also when the vm's lease was lost meanwhile. Never throws a hamal::Error, as above.
/// The caller holds the vm's lock.
void undo_snapshot(const SnapshotDocument& document, Session& session);
/// The same for a caller that does not hold the lock (any more).
void lock_and_undo(const SnapshotDocument& document, Session& session);

/// The document of a snapshot of ours that is held, from the state: an endpoint
/// NAME:VM/DISK@SNAPSHOT is enough to read it. Throws Error(usage) when none was recorded.
SnapshotDocument recorded_document(const Endpoint& endpoint, Session& session);

}  // namespace hamal
