// hamal-sync REPOSITORY --vm VM: a version's disks onto targets, in one process. The same library
// calls as the pipe that reads versions, so the same bytes.
#include "common/snapshot_cycle.hpp"
#include "hamal-sync/commands.hpp"
#include "hamal/sync/plan.hpp"
#include "hamal/sync/read_changes.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

std::string restored_repository(const SyncRequest& request) {
  for (const std::string& operand : {request.stream, request.source}) {
    if (operand.starts_with("dir:") || operand.starts_with("s3:")) {
      return operand;
    }
  }
  return {};
}

int sync_from_repository(const SyncRequest& request, Session& session, RunMetrics& metrics) {
  const std::string uri = restored_repository(request);
  if (request.vm.empty()) {
    throw Error(ErrorKind::usage, "of which vm?", uri,
                "name it: --vm VM; hamal-snapshot vms " + uri + " lists them");
  }
  const auto platform = session.open_platform(uri, Marking::unneeded);
  SnapshotOptions options;
  options.at = request.at;
  const SnapshotDocument document = platform->create_snapshot(request.vm, options);
  session.log().set_vm(document.vm_name);
  const VmLock lock(session, document.platform, document.vm_id, request.wait, session.cancel());
  const BaseChooser choose = [&](const SnapshotDocument& of, const SnapshotDisk& disk,
                                 std::size_t index) -> Base {
    if (request.incremental == Incremental::never) {
      return {"", "--incremental=never"};
    }
    StreamHeader header;
    header.vm_id = of.vm_id;
    header.vm_name = of.vm_name;
    header.disks.emplace_back().id = disk.id;
    header.disks.back().index = index;
    return base_on_target(session.state(), of, disk, choose_targets(request, header, session)[0],
                          Interrupted::mended);
  };
  session.progress().phase(document.vm_name, "planning", 0);
  auto changes = read_changes(*platform, document, find_disks(document, request.disks), choose);
  const StreamHeader header = stream_header(document, changes);
  const auto targets = choose_targets(request, header, session);
  auto disks = collect_plans(changes, plan_directory(session, header), session.cancel());
  session.progress().done(document.vm_name);
  const SyncSource source{
      [&](const StreamDisk& disk) { return platform->open_reader(document.disk(disk.id)); },
      [&](const StreamDisk& disk) {
        platform->verify_snapshot(document.vm_id, document.snapshot_id, document.disk(disk.id));
      }};
  const SyncResult result =
      run_sync(header, disks, targets, source,
               sync_options(request, session.config(), document.platform_type),
               sync_context(request, session));
  metrics.note(result);
  return report_result(result, session);
}

}  // namespace hamal
