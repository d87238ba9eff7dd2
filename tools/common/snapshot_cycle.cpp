#include "common/snapshot_cycle.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "common/held_snapshot.hpp"
#include "common/metadata.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/nearest.hpp"
#include "hamal/util/random_id.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

constexpr std::chrono::seconds k_undo_wait{30};

void say_not_ended(const SnapshotDocument& document, const Error& error, Session& session) {
  const std::string message = fmt::format(
      "snapshot {} could not be ended: {}; end it with `hamal-snapshot delete {} {} {}`",
      document.snapshot_id, error.what(), document.platform, document.vm_id, document.snapshot_id);
  session.log().error("{}", message);
  if (!session.mirrored()) {
    fmt::print(stderr, "{}: error: {}\n", session.tool(), message);
  }
}

/// As the platform will call it: one vm has one lock and one set of records, however it is written.
std::string adhoc_vm_id(const VmOperand& vm, Session& session) {
  if (vm.platform == "rbd") {
    return rbd_uri(session.parse_endpoint(vm.vm).rbd);
  }
  if (vm.platform != "file") {
    return vm.vm;
  }
  const std::string image = vm.vm.starts_with('/') ? vm.vm : parse_endpoint(vm.vm).path;
  std::error_code error;  // what does not exist is the platform's to complain about
  const auto path = std::filesystem::canonical(image, error);
  return error ? vm.vm : path.string();
}

/// What checkpoints and interrupted runs of those disks count from.
std::vector<std::string> needed_by(State& state,
                                   const std::function<bool(const DiskIdentity&)>& is_disk) {
  std::vector<std::string> ids;
  const auto add = [&ids](const std::string& id) {
    if (!id.empty() && std::find(ids.begin(), ids.end(), id) == ids.end()) {
      ids.push_back(id);
    }
  };
  for (const Checkpoint& checkpoint : state.list_checkpoints()) {
    if (is_disk(checkpoint.identity)) {
      add(checkpoint.change_id);
    }
  }
  // Also of disks without a checkpoint: an interrupted first full goes on from its snapshot.
  for (const InProgress& mark : state.list_in_progress()) {
    if (is_disk(mark.identity)) {
      add(mark.base_change_id);
      add(mark.change_id);
    }
  }
  return ids;
}

}  // namespace

void undo_snapshot(const SnapshotDocument& document, Session& session) {
  const CancelToken uninterrupted;
  try {
    const auto platform = session.open_platform(document.platform, Marking::needed, uninterrupted);
    platform->finish_snapshot(document, Outcome::failed, still_needed(session.state(), document));
    session.log().info("snapshot {} ended: it was just made", document.snapshot_id);
    session.state().remove_snapshot(document.platform, document.snapshot_id);
  } catch (const Error& error) {
    say_not_ended(document, error, session);
  }
}

void lock_and_undo(const SnapshotDocument& document, Session& session) {
  const CancelToken uninterrupted;
  try {
    const VmLock lock(session, document.platform, document.vm_id, k_undo_wait, uninterrupted);
    undo_snapshot(document, session);
  } catch (const Error& error) {
    say_not_ended(document, error, session);
  }
}

namespace {

/// Whether it asks somebody else to make a snapshot, who may make it though we are told nothing, or
/// an error: copies of files are made here, and of an NBD export or a repository nothing is made.
bool asks_others(const std::string& platform, const Config& config) {
  const auto section = config.platforms.find(platform);
  const std::string type =
      section == config.platforms.end() ? platform : section->second.get("type");
  return type != "file" && type != "nbd" && !is_repository_platform(config, platform);
}

/// Creates and records.
SnapshotDocument create_recorded(const SnapshotWish& wish, Session& session, Platform& platform) {
  const std::string& name = wish.vm.platform;
  const std::string intent = "intended-" + session.run_id() + "-" + random_hex(4);
  SnapshotRecord record{.platform = name,
                        .vm_id = wish.vm_id,
                        .snapshot_id = intent,
                        .state = k_intended,
                        .created = rfc3339(system_clock().wall()),
                        .document = {}};
  session.state().put_snapshot(record);
  SnapshotDocument document;
  bool asked = false;
  try {
    session.check_leases();
    asked = asks_others(name, session.config());
    document = platform.create_snapshot(wish.vm.vm, wish.options);
  } catch (const Error& error) {
    // What the platform was asked for it may have done all the same, or may do yet: then the intent
    // stays, by which the next run and delete --stale look for it.
    if (!asked || error.kind() == ErrorKind::usage || error.kind() == ErrorKind::busy) {
      session.state().remove_snapshot(name, intent);
    }
    throw;
  }
  try {
    record = {.platform = document.platform,
              .vm_id = document.vm_id,
              .snapshot_id = document.snapshot_id,
              .state = to_string(wish.holder),
              .created = document.created,
              .document = to_json(document)};
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

}  // namespace

const char* to_string(Holder holder) {
  switch (holder) {
    case Holder::attached:
      return k_attached;
    case Holder::handed_out:
      return k_created;
    case Holder::period:
      return k_period;
  }
  return "";
}

const char* to_string(Ending ending) {
  switch (ending) {
    case Ending::committed:
      return "committed";
    case Ending::failed:
      return "failed";
    case Ending::held:
      return "held";
  }
  return "";
}

AcquiredSnapshot acquire_snapshot(const SnapshotWish& wish, Session& session, Platform& platform) {
  end_unrecorded(wish, session, platform);
  if (auto held = resume_held(wish, session, platform)) {
    return {std::move(*held), Origin::resumed};
  }
  return {create_recorded(wish, session, platform), Origin::created};
}

Ending settle_snapshot(const SnapshotDocument& document, Outcome outcome, Session& session,
                       Platform& platform) {
  State& state = session.state();
  if (!interrupted_run(session, document.platform, document.vm_id, document.snapshot_id).empty()) {
    // The record knows all disks; the document may be of some of them.
    SnapshotRecord record{.platform = document.platform,
                          .vm_id = document.vm_id,
                          .snapshot_id = document.snapshot_id,
                          .state = k_created,
                          .created = document.created,
                          .document = to_json(document)};
    const auto records = state.list_snapshots();
    const auto known = std::find_if(records.begin(), records.end(), [&](const auto& one) {
      return one.platform == record.platform && one.snapshot_id == record.snapshot_id;
    });
    if (known != records.end()) {
      record = *known;
    }
    record = with_known_age(record, session);
    LeftSnapshot left = left_snapshot(session, record);
    left.unusable = why_unusable(
        platform,
        parse_snapshot_document(record.document, "the record of snapshot " + record.snapshot_id));
    const Verdict verdict = judge_after_run(left, session.config().sync.snapshot_max_hold);
    if (verdict.fate == Fate::resume) {
      state.put_snapshot(record);
      session.log().info("snapshot {} stays held: {}", document.snapshot_id, verdict.reason);
      return Ending::held;
    }
    session.log().warning("snapshot {} is not held for an interrupted run: {}",
                          document.snapshot_id, verdict.reason);
  }
  end_snapshot(document, outcome, session, platform);
  if (outcome != Outcome::committed) {
    return Ending::failed;
  }
  keep_metadata(document, session);
  return Ending::committed;
}

void settle_failed(const AcquiredSnapshot& snapshot, Session& session) {
  const SnapshotDocument& document = snapshot.document;
  if (session.cancel().requested() && snapshot.origin == Origin::resumed) {
    session.log().info("snapshot {} stays held: an earlier run made it", document.snapshot_id);
    return;
  }
  const CancelToken uninterrupted;
  try {
    const auto platform = session.open_platform(document.platform, Marking::needed, uninterrupted);
    settle_snapshot(document, Outcome::failed, session, *platform);
  } catch (const Error& error) {
    if (interrupted_run(session, document.platform, document.vm_id, document.snapshot_id).empty()) {
      say_not_ended(document, error, session);
    } else {
      session.log().warning("snapshot {} stays recorded for the next run, which looks again: {}",
                            document.snapshot_id, error.what());
    }
  }
}

void end_snapshot(const SnapshotDocument& document, Outcome outcome, Session& session,
                  Platform& platform) {
  session.check_leases();
  platform.finish_snapshot(document, outcome, still_needed(session.state(), document));
  session.state().remove_snapshot(document.platform, document.snapshot_id);
  session.log().info("snapshot {} ended: {}", document.snapshot_id,
                     outcome == Outcome::committed ? "committed" : "failed");
}

std::string resolve_vm(Platform& platform, Session& session, const VmOperand& vm) {
  if (!session.config().platforms.contains(vm.platform)) {
    return adhoc_vm_id(vm, session);
  }
  const std::vector<Vm> all = platform.vms();
  const std::vector<Vm> matches = vms_called(all, vm.vm);
  if (matches.size() == 1) {
    return matches.front().id;
  }
  if (matches.size() > 1) {
    throw Error(ErrorKind::usage, "several vms have this name", vm.platform + ":" + vm.vm,
                "use the id: `hamal-snapshot vms " + vm.platform + "` shows them");
  }
  std::vector<std::string> names;
  for (const Vm& one : all) {
    names.push_back(one.name);
  }
  const std::string near = nearest_name(vm.vm, names);
  throw Error(ErrorKind::usage, "no vm of this id or name", vm.platform + ":" + vm.vm,
              near.empty() ? "`hamal-snapshot vms " + vm.platform + "` lists them"
                           : "did you mean " + near + "?");
}

namespace {

/// Of a vm that is gone, by its id; where such an id is none, the platform's refusal is no news.
bool has_snapshots_of_ours(Platform& platform, const std::string& vm_id) {
  try {
    const auto infos = platform.list_snapshots(vm_id);
    return std::any_of(infos.begin(), infos.end(),
                       [&](const SnapshotInfo& info) { return info.ours && info.vm_id == vm_id; });
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) {
      throw;
    }
    return false;
  }
}

}  // namespace

std::string resolve_recorded_vm(Platform& platform, Session& session, const VmOperand& vm) {
  try {
    return resolve_vm(platform, session, vm);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage || !platform.ends_without_vm()) {
      throw;
    }
    const auto is_it = [&](const SnapshotRecord& record) {
      if (record.platform != vm.platform) {
        return false;
      }
      return record.vm_id == vm.vm ||
             (!record.document.empty() &&
              parse_snapshot_document(record.document, "the record of " + record.snapshot_id)
                      .vm_name == vm.vm);
    };
    const auto records = session.state().list_snapshots();
    const auto known = std::find_if(records.begin(), records.end(), is_it);
    if (known == records.end()) {
      if (!has_snapshots_of_ours(platform, vm.vm)) {
        throw;
      }
      session.log().warning("{}: the vm is not there any more; it has left snapshots", vm.vm);
      return vm.vm;
    }
    session.log().warning("{}: the vm is not there any more; a snapshot of it is recorded", vm.vm);
    return known->vm_id;
  }
}

std::vector<std::string> still_needed(State& state, const SnapshotDocument& document) {
  return needed_by(state, [&document](const DiskIdentity& identity) {
    return identity.platform == document.platform && identity.vm_id == document.vm_id &&
           std::any_of(document.disks.begin(), document.disks.end(),
                       [&](const SnapshotDisk& disk) { return disk.id == identity.disk_id; });
  });
}

std::vector<std::string> all_needed(State& state) {
  return needed_by(state, [](const DiskIdentity&) { return true; });
}

SnapshotDocument recorded_document(const Endpoint& endpoint, Session& session) {
  if (endpoint.snapshot.empty()) {
    throw Error(
        ErrorKind::usage, "names no snapshot", endpoint.uri,
        "write NAME:VM/DISK@SNAPSHOT; `hamal-snapshot list " + endpoint.platform + "` shows them");
  }
  for (const SnapshotRecord& record : session.state().list_snapshots()) {
    if (record.platform == endpoint.platform && record.snapshot_id == endpoint.snapshot &&
        record.state != k_intended) {
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
