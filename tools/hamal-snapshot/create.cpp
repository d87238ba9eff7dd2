// hamal-snapshot create: the document on stdout, or nothing left behind.
//
// The lock is released before printing because the next tool of the pipe takes it as soon as it has
// read the document. What fails then (a closed pipe, an interrupt) ends the snapshot again.
#include <optional>

#include "common/output.hpp"
#include "common/snapshot_cycle.hpp"
#include "hamal-snapshot/commands.hpp"

namespace hamal {

int run_create(const SnapshotRequest& request, Session& session) {
  const auto platform = session.open_platform(request.vm.platform);
  const std::string vm_id = resolve_vm(*platform, session, request.vm);
  session.log().set_vm(request.vm.vm);
  std::optional<FileLock> lock{
      lock_vm(session, request.vm.platform, vm_id, request.wait, session.cancel())};
  const SnapshotDocument document =
      create_recorded({request.vm, vm_id, request.options}, session, *platform);
  lock.reset();
  try {
    write_stdout(to_json(document), session.cancel());
  } catch (...) {
    lock_and_undo(document, session);
    throw;
  }
  return 0;
}

}  // namespace hamal
