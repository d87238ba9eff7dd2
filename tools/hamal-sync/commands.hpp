// What hamal-sync does, one function per command. Each returns an exit status.
#pragma once
#include "common/session.hpp"
#include "common/vm_lease.hpp"
#include "hamal-sync/options.hpp"
#include "hamal-sync/run_metrics.hpp"

namespace hamal {

int run_hamal_sync(const SyncRequest& request, Session& session);

int sync_from_stream(const SyncRequest& request, Session& session, RunMetrics& metrics);
int sync_from_source(const SyncRequest& request, Session& session, RunMetrics& metrics);
/// The endpoint of the repository that the request restores from; empty: from none.
std::string restored_repository(const SyncRequest& request);
int sync_from_repository(const SyncRequest& request, Session& session, RunMetrics& metrics);
int compare_endpoints(const SyncRequest& request, Session& session);
int run_checkpoint_command(const SyncRequest& request, Session& session);
int run_release_command(const SyncRequest& request, Session& session);
int run_rollback_command(const SyncRequest& request, Session& session);

/// The checkpoints that --target and --vm leave.
std::vector<Checkpoint> matching_checkpoints(const SyncRequest& request, Session& session);
/// The same, and an Error when there are none.
std::vector<Checkpoint> require_checkpoints(const SyncRequest& request, Session& session);
/// What a command holds while it changes targets.
struct TargetLocks {
  std::vector<std::unique_ptr<VmLease>> vms;
  std::vector<std::unique_ptr<FileLock>> targets;
};
/// The leases of their vms and the locks of the targets, in order. Throws Error(busy) after --wait,
/// and Error(wrong_target) for a target that another proxy has written, unless --take-over.
TargetLocks lock_targets(const std::vector<Checkpoint>& checkpoints, const SyncRequest& request,
                         Session& session);
/// With what a run that has not committed means for them.
std::string json_lines(const std::vector<Checkpoint>& checkpoints, State& state);
/// "no restore point: …" of a target that a run has been changing; empty when none has.
std::string restore_point_text(const Checkpoint& checkpoint, State& state);

/// The endpoint each disk is written to: its --map, else the pattern. Throws Error(usage) for a
/// --map of no disk.
std::vector<Endpoint> choose_targets(const SyncRequest& request, const StreamHeader& header,
                                     Session& session);
/// `platform_type`: whose section says how targets are known again.
SyncOptions sync_options(const SyncRequest& request, const Config& config,
                         const std::string& platform_type);
SyncContext sync_context(const SyncRequest& request, Session& session);
/// Where plans of this vm are spooled; those that killed runs left are removed. The caller holds
/// the vm's lock.
std::filesystem::path plan_directory(Session& session, const StreamHeader& header);
/// Prints the result and returns its exit status.
int report_result(const SyncResult& result, const Session& session);

}  // namespace hamal
