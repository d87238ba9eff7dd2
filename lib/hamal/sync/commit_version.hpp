// Publishing what is staged of a snapshot: the manifest of all its disks, which is their
// checkpoint, then the copy of it in the local state.
#pragma once
#include "hamal/repository/write_session.hpp"
#include "hamal/state/state.hpp"
#include "hamal/sync/repository_target.hpp"
#include "hamal/sync/result.hpp"

namespace hamal {

struct CommittedVersion {
  repository::Manifest manifest;
  /// Why the state does not know of it; empty: it does. The version is there all the same, and is
  /// what the next run counts from. The log was told.
  std::string not_cached;
};

/// Throws Error(busy) when the slot was taken, or the machine was before: the run is void.
CommittedVersion commit_version(const RepositoryPlace& place, repository::WriteSession& session,
                                const SnapshotDocument& document, State& state);

/// The same for a session that an earlier process of this host left. A version of that snapshot
/// that is there already is success. Throws Error(usage) when there is neither. The caller holds
/// the vm's lock.
CommittedVersion commit_snapshot(const RepositoryPlace& place, const SnapshotDocument& document,
                                 State& state);
/// For people: what became of it, and what happens next.
std::string say_not_cached(const CommittedVersion& committed);

/// Writes what is committed into the result of the run that staged it.
void note_committed(SyncResult& result, const RepositoryPlace& place,
                    const repository::Manifest& manifest);

}  // namespace hamal
