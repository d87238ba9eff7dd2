// Publishing what is staged of a snapshot: the manifest of all its disks, which is their
// checkpoint, then the copy of it in the local state.
#pragma once
#include "hamal/repository/write_session.hpp"
#include "hamal/state/state.hpp"
#include "hamal/sync/repository_target.hpp"
#include "hamal/sync/result.hpp"

namespace hamal {

/// Throws Error(busy) when the slot was taken: the run is void.
repository::Manifest commit_version(const RepositoryPlace& place, repository::WriteSession& session,
                                    const SnapshotDocument& document, State& state);

/// The same for a session that an earlier process of this host left. A version of that snapshot
/// that is there already is success. Throws Error(usage) when there is neither. The caller holds
/// the vm's lock.
repository::Manifest commit_snapshot(const RepositoryPlace& place, const SnapshotDocument& document,
                                     State& state);

/// Writes what is committed into the result of the run that staged it.
void note_committed(SyncResult& result, const RepositoryPlace& place,
                    const repository::Manifest& manifest);

}  // namespace hamal
