#include "common/snapshot_cycle.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "hamal/util/error.hpp"
#include "hamal/util/nearest.hpp"
#include "hamal/util/random_id.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

constexpr std::chrono::seconds k_undo_wait{30};

/// A create that was killed between its intent and its record: nobody else can be making one, we
/// hold the lock.
void drop_stale_intents(const std::string& platform, const std::string& vm_id, Session& session) {
  for (const SnapshotRecord& record : session.state().list_snapshots()) {
    if (record.platform == platform && record.vm_id == vm_id && record.state == "intended") {
      session.log().warning(
          "a snapshot intended at {} was never recorded: its run was killed; `hamal-snapshot list "
          "{}` shows whether it exists",
          record.created, platform);
      session.state().remove_snapshot(platform, record.snapshot_id);
    }
  }
}

void say_not_ended(const SnapshotDocument& document, const Error& error, Session& session) {
  const std::string message = fmt::format(
      "snapshot {} could not be ended: {}; end it with `hamal-snapshot delete {} {} {}`",
      document.snapshot_id, error.what(), document.platform, document.vm_id, document.snapshot_id);
  session.log().error("{}", message);
  if (!session.mirrored()) {
    fmt::print(stderr, "{}: error: {}\n", session.tool(), message);
  }
}

}  // namespace

void undo_snapshot(const SnapshotDocument& document, Session& session) {
  const CancelToken uninterrupted;
  try {
    const auto platform = session.open_platform(document.platform, Marking::needed, uninterrupted);
    end_snapshot(document, Outcome::failed, session, *platform);
  } catch (const Error& error) {
    say_not_ended(document, error, session);
  }
}

void lock_and_undo(const SnapshotDocument& document, Session& session) {
  const CancelToken uninterrupted;
  try {
    const auto lock =
        lock_vm(session, document.platform, document.vm_id, k_undo_wait, uninterrupted);
    undo_snapshot(document, session);
  } catch (const Error& error) {
    say_not_ended(document, error, session);
  }
}

SnapshotDocument create_recorded(const SnapshotWish& wish, Session& session, Platform& platform) {
  const std::string& name = wish.vm.platform;
  drop_stale_intents(name, wish.vm_id, session);
  const std::string intent = "intended-" + session.run_id() + "-" + random_hex(4);
  SnapshotRecord record{name, wish.vm_id, intent, "intended", rfc3339(system_clock().wall()), {}};
  session.state().put_snapshot(record);
  SnapshotDocument document;
  try {
    document = platform.create_snapshot(wish.vm.vm, wish.options);
  } catch (...) {
    session.state().remove_snapshot(name, intent);
    throw;
  }
  try {
    record = {document.platform, document.vm_id,   document.snapshot_id,
              "created",         document.created, to_json(document)};
    session.state().put_snapshot(record);
    session.state().remove_snapshot(name, intent);
    session.log().info("snapshot {} of {} disks created", document.snapshot_id,
                       document.disks.size());
    session.cancel().check();
  } catch (...) {
    undo_snapshot(document, session);
    throw;
  }
  return document;
}

void end_snapshot(const SnapshotDocument& document, Outcome outcome, Session& session,
                  Platform& platform) {
  platform.finish_snapshot(document, outcome, still_needed(session.state(), document));
  session.state().remove_snapshot(document.platform, document.snapshot_id);
  session.log().info("snapshot {} ended: {}", document.snapshot_id,
                     outcome == Outcome::committed ? "committed" : "failed");
}

std::string resolve_vm(Platform& platform, const Session& session, const VmOperand& vm) {
  if (!session.config().platforms.contains(vm.platform)) {
    return vm.vm;
  }
  std::vector<std::string> names;
  std::vector<std::string> matches;
  for (const Vm& one : platform.vms()) {
    if (one.id == vm.vm) {
      return one.id;
    }
    if (one.name == vm.vm) {
      matches.push_back(one.id);
    }
    names.push_back(one.name);
  }
  if (matches.size() == 1) {
    return matches.front();
  }
  if (matches.size() > 1) {
    throw Error(ErrorKind::usage, "several vms have this name", vm.platform + ":" + vm.vm,
                "use the id: `hamal-snapshot vms " + vm.platform + "` shows them");
  }
  const std::string near = nearest_name(vm.vm, names);
  throw Error(ErrorKind::usage, "no vm of this id or name", vm.platform + ":" + vm.vm,
              near.empty() ? "`hamal-snapshot vms " + vm.platform + "` lists them"
                           : "did you mean " + near + "?");
}

FileLock lock_vm(Session& session, const std::string& platform, const std::string& vm_id,
                 std::chrono::milliseconds wait, const CancelToken& cancel) {
  const std::string name = vm_lock_name(platform, vm_id);
  return {session.lock_path("vm", name), "vm " + name, LockHolder{session.run_id(), session.tool()},
          wait, cancel};
}

std::vector<std::string> still_needed(State& state, const SnapshotDocument& document) {
  std::vector<std::string> ids;
  const auto add = [&ids](const std::string& id) {
    if (!id.empty() && std::find(ids.begin(), ids.end(), id) == ids.end()) {
      ids.push_back(id);
    }
  };
  for (const Checkpoint& checkpoint : state.list_checkpoints()) {
    const DiskIdentity& identity = checkpoint.identity;
    const bool ours =
        identity.platform == document.platform && identity.vm_id == document.vm_id &&
        std::any_of(document.disks.begin(), document.disks.end(),
                    [&](const SnapshotDisk& disk) { return disk.id == identity.disk_id; });
    if (!ours) {
      continue;
    }
    add(checkpoint.change_id);
    if (const auto mark = state.find_in_progress(identity)) {
      add(mark->base_change_id);
      add(mark->change_id);
    }
  }
  return ids;
}

SnapshotDocument recorded_document(const Endpoint& endpoint, Session& session) {
  if (endpoint.snapshot.empty()) {
    throw Error(
        ErrorKind::usage, "names no snapshot", endpoint.uri,
        "write NAME:VM/DISK@SNAPSHOT; `hamal-snapshot list " + endpoint.platform + "` shows them");
  }
  for (const SnapshotRecord& record : session.state().list_snapshots()) {
    if (record.platform == endpoint.platform && record.snapshot_id == endpoint.snapshot &&
        record.state == "created") {
      SnapshotDocument document =
          parse_snapshot_document(record.document, "the recorded document of " + endpoint.uri);
      if (document.vm_id == endpoint.vm || document.vm_name == endpoint.vm) {
        return document;
      }
    }
  }
  throw Error(ErrorKind::usage, "no such snapshot was recorded here", endpoint.uri,
              "give its snapshot document instead; `hamal-snapshot list " + endpoint.platform +
                  "` shows what there is");
}

}  // namespace hamal
