// The commands of hamal-snapshot; each returns the exit status.
#pragma once
#include "common/session.hpp"
#include "hamal-snapshot/options.hpp"

namespace hamal {

int run_snapshot(const SnapshotRequest& request, Session& session);

/// create, in a file of its own: what it promises when anything fails is most of it.
int run_create(const SnapshotRequest& request, Session& session);
/// delete --stale, in a file of its own too.
int run_delete_stale(const SnapshotRequest& request, Session& session);

}  // namespace hamal
