#include "hamal-snapshot/commands.hpp"

#include <algorithm>

#include "common/held_verdict.hpp"
#include "common/input.hpp"
#include "common/output.hpp"
#include "common/snapshot_cycle.hpp"
#include "hamal-snapshot/report.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

int run_vms(const SnapshotRequest& request, Session& session) {
  const auto platform = session.open_platform(request.vm.platform);
  write_stdout(report_vms(request.vm.platform, platform->vms(), request.common.format),
               session.cancel());
  return 0;
}

int run_list(const SnapshotRequest& request, Session& session) {
  const auto platform = session.open_platform(request.vm.platform);
  std::vector<std::string> ids;
  if (!request.vm.vm.empty()) {
    ids.push_back(resolve_recorded_vm(*platform, session, request.vm));
  } else {
    for (const Vm& vm : platform->vms()) {
      ids.push_back(vm.id);
    }
  }
  const std::vector<SnapshotRecord> records = session.state().list_snapshots();
  std::vector<ListedSnapshot> listed;
  for (const std::string& id : ids) {
    for (SnapshotInfo& info : platform->list_snapshots(id)) {
      const bool recorded = std::any_of(records.begin(), records.end(), [&](const auto& record) {
        // By whichever section of one server.
        return record.snapshot_id == info.id && record.state != k_intended;
      });
      listed.push_back({std::move(info), recorded});
    }
  }
  write_stdout(report_snapshots(request.vm.platform, listed, request.common.format),
               session.cancel());
  return 0;
}

int run_finish(const SnapshotRequest& request, Session& session) {
  const SnapshotDocument document = read_snapshot_document(request.document, session.cancel());
  session.log().set_vm(document.vm_name);
  const auto platform = session.open_platform(document.platform);
  const VmLock lock(session, document.platform, document.vm_id, request.wait, session.cancel());
  const Ending ending = settle_snapshot(document, request.outcome, session, *platform);
  if (request.common.format == ReportFormat::json) {
    write_stdout(
        report_ended(document.platform, document.vm_id, document.snapshot_id, to_string(ending)),
        session.cancel());
  }
  return 0;
}

int run_delete(const SnapshotRequest& request, Session& session) {
  const auto platform = session.open_platform(request.vm.platform);
  const std::string vm_id = resolve_recorded_vm(*platform, session, request.vm);
  session.log().set_vm(request.vm.vm);
  const VmLock lock(session, request.vm.platform, vm_id, request.wait, session.cancel());
  for (const SnapshotInfo& info : platform->list_snapshots(vm_id)) {
    if (info.id == request.snapshot_id && !info.ours) {
      throw Error(ErrorKind::failed, "the snapshot was not made by this installation",
                  request.snapshot_id, "delete it with the platform's own tools");
    }
  }
  session.check_leases();
  platform->delete_snapshot(vm_id, request.snapshot_id);
  session.state().remove_snapshot(request.vm.platform, request.snapshot_id);
  session.log().info("snapshot {} deleted", request.snapshot_id);
  if (request.common.format == ReportFormat::json) {
    write_stdout(report_ended(request.vm.platform, vm_id, request.snapshot_id, "deleted"),
                 session.cancel());
  }
  return 0;
}

}  // namespace

int run_snapshot(const SnapshotRequest& request, Session& session) {
  switch (request.command) {
    case SnapshotCommand::vms:
      return run_vms(request, session);
    case SnapshotCommand::create:
      return run_create(request, session);
    case SnapshotCommand::list:
      return run_list(request, session);
    case SnapshotCommand::finish:
      return run_finish(request, session);
    case SnapshotCommand::remove:
      return run_delete(request, session);
    case SnapshotCommand::remove_stale:
      return run_delete_stale(request, session);
  }
  throw std::logic_error("a command that is not handled");
}

}  // namespace hamal
