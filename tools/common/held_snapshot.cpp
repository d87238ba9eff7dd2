#include "common/held_snapshot.hpp"

#include <algorithm>

#include "hamal/platform/snapshot_busy.hpp"
#include "hamal/repository/session_record.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

bool is_interruption(const Error& error) {
  return error.kind() == ErrorKind::interrupted || error.kind() == ErrorKind::terminated;
}

bool holds(Platform& platform, const std::string& vm_id, const std::string& snapshot_id) {
  const auto infos = platform.list_snapshots(vm_id);
  return std::any_of(infos.begin(), infos.end(), [&](const SnapshotInfo& info) {
    return info.id == snapshot_id && info.ours && info.state == "held";
  });
}

/// The ids of the disks that were asked for; all that can be protected when none was named.
std::vector<std::string> wanted_disks(const SnapshotWish& wish, const SnapshotDocument& document,
                                      Platform& platform) {
  std::vector<VmDisk> disks;
  for (const Vm& vm : platform.vms()) {
    if (vm.id == document.vm_id) {
      disks = vm.disks;
    }
  }
  std::vector<std::string> ids;
  if (wish.options.disks.empty()) {
    for (const VmDisk& disk : disks) {
      if (disk.protectable) {
        ids.push_back(disk.id);
      }
    }
    return ids;
  }
  for (const std::string& asked : wish.options.disks) {
    // An index counts the vm's disks, not those of a document that may hold fewer.
    const auto known = std::find_if(disks.begin(), disks.end(), [&](const VmDisk& disk) {
      return disk.id == asked || std::to_string(&disk - disks.data()) == asked;
    });
    ids.push_back(known == disks.end() ? asked : known->id);
  }
  return ids;
}

/// Keeps the disks that were asked for, as a new snapshot would hold no others. The reason when it
/// cannot stand for a new one.
std::string reduce(SnapshotDocument& document, const SnapshotWish& wish, Platform& platform) {
  if (wish.options.quiesce == Quiesce::require && !document.quiesced) {
    return "it is not quiesced and that is required";
  }
  const std::vector<std::string> wanted = wanted_disks(wish, document, platform);
  for (const std::string& id : wanted) {
    if (std::none_of(document.disks.begin(), document.disks.end(),
                     [&](const SnapshotDisk& disk) { return disk.id == id; })) {
      return "it does not hold the disk " + id;
    }
  }
  if (!wish.options.disks.empty()) {
    std::erase_if(document.disks, [&](const SnapshotDisk& disk) {
      return std::find(wanted.begin(), wanted.end(), disk.id) == wanted.end();
    });
  }
  return {};
}

bool is_of(const SnapshotRecord& record, const SnapshotWish& wish) {
  return record.platform == wish.vm.platform && record.vm_id == wish.vm_id;
}

bool is_leased(State& state, const LeaseKey& key) {
  const auto lease = state.leases().find_lease(key);
  return lease && lease->left.count() > 0;
}

/// What somebody else holds fast is no reason not to run: it stays recorded, for the next run and
/// delete --stale. Whether it was ended.
template <typename Removal>
bool ended(const std::string& snapshot_id, Session& session, Removal end) {
  try {
    end();
    return true;
  } catch (const SnapshotBusy& error) {
    session.log().warning(
        "snapshot {} stays for now: {}; the next run and hamal-snapshot delete --stale try again",
        snapshot_id, error.what());
    return false;
  }
}

bool named_by_checkpoint(State& state, const std::string& platform, const std::string& vm_id,
                         const std::string& snapshot_id) {
  const auto checkpoints = state.list_checkpoints();
  return std::any_of(checkpoints.begin(), checkpoints.end(), [&](const Checkpoint& one) {
    return one.identity.platform == platform && one.identity.vm_id == vm_id &&
           one.snapshot_id == snapshot_id;
  });
}

}  // namespace

std::vector<InProgress> marks_of(State& state, const std::string& platform,
                                 const std::string& vm_id, const std::string& snapshot_id) {
  std::vector<InProgress> marks = state.list_in_progress();
  std::erase_if(marks, [&](const InProgress& mark) {
    return mark.identity.platform != platform || mark.identity.vm_id != vm_id ||
           mark.snapshot_id != snapshot_id;
  });
  return marks;
}

std::string why_of_another(Session& session, const std::string& platform, const std::string& vm_id,
                           const std::string& snapshot_id) {
  // A section that this proxy's configuration does not have may be another's, where it works now:
  // of a section that is renamed proxy by proxy.
  const auto is_other = [&](const std::string& name, const std::string& vm) {
    return name != platform &&
           (session.config().platforms.contains(name) || is_leased(session.state(), {name, vm}));
  };
  const auto max_hold = session.config().sync.snapshot_max_hold;
  for (const SnapshotRecord& record : session.state().list_snapshots()) {
    if (!is_other(record.platform, record.vm_id)) {
      continue;
    }
    if (record.snapshot_id == snapshot_id) {
      return "recorded by [platform " + record.platform + "]";
    }
    if (record.state == k_intended && record.vm_id == vm_id &&
        snapshot_age(record.created, system_clock().wall()).age < max_hold) {
      return "[platform " + record.platform + "] may be making it";
    }
  }
  for (const InProgress& mark : session.state().list_in_progress()) {
    if (mark.snapshot_id == snapshot_id && is_other(mark.identity.platform, mark.identity.vm_id)) {
      return "an interrupted run of [platform " + mark.identity.platform + "] goes on from it";
    }
  }
  return {};
}

std::string interrupted_run(Session& session, const std::string& platform, const std::string& vm_id,
                            const std::string& snapshot_id) {
  const auto marks = marks_of(session.state(), platform, vm_id, snapshot_id);
  if (!marks.empty()) {
    return marks.front().started;
  }
  for (const auto& open : repository::open_sessions(session.config().defaults.hamal_lib_dir)) {
    if (open.vm == repository::VmName{platform, vm_id} && open.snapshot_id == snapshot_id) {
      return open.started;
    }
  }
  return {};
}

LeftSnapshot left_snapshot(Session& session, const SnapshotRecord& record) {
  State& state = session.state();
  return {record.state,
          snapshot_age(record.created, system_clock().wall()).age,
          !interrupted_run(session, record.platform, record.vm_id, record.snapshot_id).empty(),
          named_by_checkpoint(state, record.platform, record.vm_id, record.snapshot_id),
          {}};
}

std::string why_unusable(Platform& platform, const SnapshotDocument& document) {
  // Asked first: what cannot be frozen (a file said to be offline, an NBD export) is not held by
  // anybody between two runs and may have changed; only the platform knows.
  if (!holds(platform, document.vm_id, document.snapshot_id)) {
    return "the platform does not hold it any more";
  }
  if (std::string why = platform.why_not_to_hold(document.vm_id); !why.empty()) {
    return why;
  }
  try {
    for (const SnapshotDisk& disk : document.disks) {
      platform.verify_snapshot(document.vm_id, document.snapshot_id, disk);
    }
  } catch (const Error& error) {
    if (is_interruption(error)) {
      throw;
    }
    // verify throws alike for a broken snapshot and for a platform that went away: then this does.
    holds(platform, document.vm_id, document.snapshot_id);
    return error.what();
  }
  return {};
}

SnapshotRecord with_known_age(SnapshotRecord record, Session& session) {
  const auto now = system_clock().wall();
  if (!snapshot_age(record.created, now).known) {
    session.log().warning(
        "snapshot {} was created at \"{}\", which is not in the past (was the clock set back?): "
        "its "
        "age counts from now",
        record.snapshot_id, record.created);
    record.created = rfc3339(now);
    session.state().put_snapshot(record);
  }
  return record;
}

void end_unrecorded(const SnapshotWish& wish, Session& session, Platform& platform) {
  State& state = session.state();
  const std::vector<SnapshotRecord> before = state.list_snapshots();
  std::vector<SnapshotRecord> intents;
  std::copy_if(before.begin(), before.end(), std::back_inserter(intents),
               [&](const auto& one) { return is_of(one, wish) && one.state == k_intended; });
  if (intents.empty()) {
    return;
  }
  // Nobody else can be making one under this name of the platform: we hold the lock.
  for (const SnapshotRecord& intent : intents) {
    session.log().warning(
        "a snapshot intended at {} was never recorded: its run failed or was killed",
        intent.created);
  }
  bool all_ended = true;
  for (const SnapshotInfo& info : platform.list_snapshots(wish.vm_id)) {
    const bool recorded = std::any_of(before.begin(), before.end(), [&](const auto& one) {
      return one.platform == wish.vm.platform && one.snapshot_id == info.id;
    });
    if (info.ours && info.state == "held" && !recorded &&
        why_of_another(session, wish.vm.platform, wish.vm_id, info.id).empty() &&
        interrupted_run(session, wish.vm.platform, wish.vm_id, info.id).empty() &&
        !named_by_checkpoint(state, wish.vm.platform, wish.vm_id, info.id)) {
      if (ended(info.id, session, [&] { platform.delete_snapshot(wish.vm_id, info.id); })) {
        session.log().warning("snapshot {} ended: nobody recorded it", info.id);
      } else {
        all_ended = false;
      }
    }
  }
  if (!all_ended) {
    return;  // by an intent the next run looks for it
  }
  for (const SnapshotRecord& intent : intents) {
    state.remove_snapshot(intent.platform, intent.snapshot_id);
  }
}

std::optional<SnapshotDocument> resume_held(const SnapshotWish& wish, Session& session,
                                            Platform& platform) {
  std::vector<SnapshotRecord> records = session.state().list_snapshots();
  std::reverse(records.begin(), records.end());  // the newest first
  const auto max_hold = session.config().sync.snapshot_max_hold;
  std::optional<SnapshotDocument> found;
  for (SnapshotRecord& record : records) {
    if (!is_of(record, wish) || record.state == k_intended) {
      continue;
    }
    SnapshotDocument document =
        parse_snapshot_document(record.document, "the record of snapshot " + record.snapshot_id);
    SnapshotDocument reduced = document;
    record = with_known_age(record, session);
    LeftSnapshot left = left_snapshot(session, record);
    if (left.marked && wish.fresh == Fresh::no) {
      left.unusable = why_unusable(platform, document);
      if (left.unusable.empty()) {
        left.unusable = reduce(reduced, wish, platform);
      }
    }
    const Verdict verdict =
        judge_for_next_run(left, wish.fresh, max_hold,
                           wish.holder == Holder::period ? NextRun::of_period : NextRun::by_hand);
    if (verdict.fate == Fate::end && left.marked && wish.give_up == GiveUp::no) {
      throw Error(ErrorKind::busy,
                  "snapshot " + record.snapshot_id +
                      " is held for an interrupted run and cannot be used: " + verdict.reason,
                  record.platform + ":" + record.vm_id,
                  "a dry run ends no snapshot that another run needs; a run does");
    }
    if (verdict.fate == Fate::end) {
      session.log().warning("held snapshot {} is not resumed: {}", record.snapshot_id,
                            verdict.reason);
      ended(record.snapshot_id, session,
            [&] { end_snapshot(document, Outcome::failed, session, platform); });
    } else if (verdict.fate == Fate::finish) {
      session.log().warning("held snapshot {}: {}", record.snapshot_id, verdict.reason);
      end_snapshot(document, Outcome::committed, session, platform);
    } else if (verdict.fate == Fate::resume && !found) {
      session.log().info(
          "resuming from held snapshot {}: interrupted at {}", record.snapshot_id,
          interrupted_run(session, record.platform, record.vm_id, record.snapshot_id));
      // Whom it is held for now decides who may call it a leftover.
      if (wish.give_up == GiveUp::yes) {
        record.state = to_string(wish.holder);
        session.state().put_snapshot(record);
      }
      found = std::move(reduced);
    }
  }
  return found;
}

}  // namespace hamal
