// hamal-snapshot create: the document on stdout, or nothing left behind. The snapshot of an
// interrupted run is handed out again, and stays for that run whatever happens here.
//
// The lock is released before printing because the next tool of the pipe takes it as soon as it has
// read the document. What fails then (a closed pipe, an interrupt) ends the snapshot again.
#include <optional>

#include "common/output.hpp"
#include "common/period_run.hpp"
#include "common/snapshot_cycle.hpp"
#include "hamal-snapshot/commands.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

int run_create(const SnapshotRequest& request, Session& session) {
  if (is_repository_platform(session.config(), request.vm.platform)) {
    // Versions are always there: nothing is created, held or recorded.
    if (request.vm.vm.empty()) {
      throw Error(ErrorKind::usage, "of which vm?", request.vm.platform,
                  "write hamal-snapshot create " + request.vm.platform + " VM");
    }
    const auto versions = session.open_platform(request.vm.platform, Marking::unneeded);
    write_stdout(to_json(versions->create_snapshot(request.vm.vm, request.options)),
                 session.cancel());
    return 0;
  }
  if (!request.options.at.empty()) {
    throw Error(ErrorKind::usage, "--at chooses a version of a repository", request.vm.platform,
                "leave it out");
  }
  const auto platform = session.open_platform(request.vm.platform);
  const std::string vm_id = resolve_vm(*platform, session, request.vm);
  session.log().set_vm(request.vm.vm);
  std::optional<VmLock> lock(std::in_place, session, request.vm.platform, vm_id, request.wait,
                             session.cancel());
  const Holder holder =
      is_period_run(session, request.vm.platform, vm_id) ? Holder::period : Holder::handed_out;
  const AcquiredSnapshot snapshot = acquire_snapshot(
      {request.vm, vm_id, request.options, holder, request.fresh}, session, *platform);
  lock.reset();
  try {
    write_stdout(to_json(snapshot.document), session.cancel());
  } catch (...) {
    if (snapshot.origin == Origin::created) {
      lock_and_undo(snapshot.document, session);
    }
    throw;
  }
  return 0;
}

}  // namespace hamal
