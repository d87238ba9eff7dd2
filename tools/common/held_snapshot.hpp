// The snapshots that earlier runs of a vm left: found in the state, looked at on the platform, and
// resumed, kept or ended as held_verdict.hpp decides. Callers hold the vm's lock.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "common/held_verdict.hpp"
#include "common/session.hpp"
#include "common/snapshot_cycle.hpp"

namespace hamal {

/// The in-progress marks, of any disk on any target, that name this snapshot.
std::vector<InProgress> marks_of(State& state, const std::string& platform,
                                 const std::string& vm_id, const std::string& snapshot_id);

/// Why this snapshot is that of another [platform NAME] section of this installation, which may
/// lead to the same server: recorded by it, needed by its interrupted run, or perhaps being made by
/// it now (so ask the platform first). Empty: it is not. Of sections that the configuration does
/// not have only those count whose vm is leased now: another proxy has them.
std::string why_of_another(Session& session, const std::string& platform, const std::string& vm_id,
                           const std::string& snapshot_id);

/// When the run began that was interrupted and goes on from this snapshot: one that left an
/// in-progress mark, or a session of a repository that was not committed. Empty: there is none.
std::string interrupted_run(Session& session, const std::string& platform, const std::string& vm_id,
                            const std::string& snapshot_id);

/// What the state knows of a snapshot, without asking its platform.
LeftSnapshot left_snapshot(Session& session, const SnapshotRecord& record);

/// Empty when the platform holds this snapshot of ours and every disk of the document is what it
/// was. Throws when the platform cannot be asked: that is no reason to give a snapshot up.
std::string why_unusable(Platform& platform, const SnapshotDocument& document);

/// Gives a record whose creation lies in the future (the clock was set back) a new one, now: its
/// age would not grow otherwise.
SnapshotRecord with_known_age(SnapshotRecord record, Session& session);

/// Ends what creates of this vm that were killed have left on the platform, and drops their
/// intents.
void end_unrecorded(const SnapshotWish& wish, Session& session, Platform& platform);

/// The document of the held snapshot to go on from, reduced to the disks that were asked for. Ends
/// those that nobody can go on from.
std::optional<SnapshotDocument> resume_held(const SnapshotWish& wish, Session& session,
                                            Platform& platform);

}  // namespace hamal
