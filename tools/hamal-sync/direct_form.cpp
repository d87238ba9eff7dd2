// hamal-sync --source URI: snapshot, changes, copy and the snapshot's end in one process. The same
// library calls as the pipe of three tools, so the same bytes.
#include <algorithm>

#include "common/snapshot_cycle.hpp"
#include "hamal-sync/commands.hpp"
#include "hamal/sync/plan.hpp"
#include "hamal/sync/read_changes.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

SyncSource source_of(Platform& platform, const SnapshotDocument& document) {
  return {[&](const StreamDisk& disk) { return platform.open_reader(document.disk(disk.id)); },
          [&](const StreamDisk& disk) {
            platform.verify_snapshot(document.vm_id, document.snapshot_id, document.disk(disk.id));
          }};
}

SyncResult sync_document(const SyncRequest& request, Session& session, Platform& platform,
                         const SnapshotDocument& document) {
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
    return base_on_target(session.state(), of, disk, choose_targets(request, header)[0],
                          Interrupted::mended);
  };
  session.progress().phase(document.vm_name, "planning", 0);
  auto changes = read_changes(platform, document, find_disks(document, request.disks), choose);
  const StreamHeader header = stream_header(document, changes);
  const auto targets = choose_targets(request, header);
  auto disks = collect_plans(changes, plan_directory(session, header), session.cancel());
  session.progress().done(document.vm_name);
  return run_sync(header, disks, targets, source_of(platform, document),
                  sync_options(request, session.config(), document.platform_type),
                  sync_context(request, session));
}

int sync_held(SyncRequest request, Session& session, const Endpoint& endpoint,
              RunMetrics& metrics) {
  const auto platform = session.open_platform(endpoint.platform);
  const SnapshotDocument document = recorded_document(endpoint, session);
  const auto lock =
      lock_vm(session, document.platform, document.vm_id, request.wait, session.cancel());
  session.log().set_vm(document.vm_name);
  request.disks = {endpoint.disk};
  const SyncResult result = sync_document(request, session, *platform, document);
  metrics.note(result);
  return report_result(result, session);
}

// A source that is read as it is: the operator says that nothing writes to it, and platforms that
// can freeze it do.
VmOperand operand_of(const Endpoint& endpoint) {
  switch (endpoint.kind) {
    case EndpointKind::platform:
      return {endpoint.platform, endpoint.vm};
    case EndpointKind::nbd:
      return {"nbd", endpoint.uri};
    case EndpointKind::file:
    case EndpointKind::device:
      return {"file", endpoint.uri};
    case EndpointKind::directory:
    case EndpointKind::s3:
      throw repository_refused(endpoint);
  }
  throw Error(ErrorKind::usage, "not a source", endpoint.uri);
}

}  // namespace

int sync_from_source(const SyncRequest& request, Session& session, RunMetrics& metrics) {
  const Endpoint endpoint = parse_endpoint(request.source);
  if (!endpoint.snapshot.empty()) {
    return sync_held(request, session, endpoint, metrics);
  }
  SnapshotWish wish{operand_of(endpoint), {}, {}};
  if (endpoint.kind == EndpointKind::platform) {
    wish.options.disks = {endpoint.disk};
  } else {
    wish.options.offline = Offline::yes;
  }
  const auto platform = session.open_platform(wish.vm.platform);
  wish.vm_id = resolve_vm(*platform, session, wish.vm);
  const auto lock = lock_vm(session, wish.vm.platform, wish.vm_id, request.wait, session.cancel());
  wish.holder = Holder::attached;
  wish.give_up = request.dry_run ? GiveUp::no : GiveUp::yes;
  const AcquiredSnapshot snapshot = acquire_snapshot(wish, session, *platform);
  const SnapshotDocument& document = snapshot.document;
  session.log().set_vm(document.vm_name);
  SyncResult result;
  try {
    result = sync_document(request, session, *platform, document);
    metrics.note(result);
  } catch (...) {
    settle_failed(snapshot, session);
    throw;
  }
  if (result.dry_run) {
    if (snapshot.origin == Origin::created) {
      undo_snapshot(document, session);
    }
  } else if (result.status() == ExitStatus::done) {
    settle_snapshot(document, Outcome::committed, session, *platform);
  } else {
    settle_failed(snapshot, session);
  }
  return report_result(result, session);
}

}  // namespace hamal
