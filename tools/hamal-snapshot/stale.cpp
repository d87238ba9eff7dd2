// hamal-snapshot delete --stale: ends what dead runs of this installation left, vm by vm under its
// lock, and says of every other snapshot why it was left.
#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "common/held_snapshot.hpp"
#include "common/output.hpp"
#include "common/snapshot_cycle.hpp"
#include "hamal-snapshot/commands.hpp"
#include "hamal-snapshot/report.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

/// One vm, whose lock we hold.
class StaleSweep {
 public:
  StaleSweep(const SnapshotRequest& request, const std::string& vm_id, Session& session,
             Platform& platform)
      : m_request(request), m_vm_id(vm_id), m_session(session), m_platform(platform) {}

  std::vector<StaleSnapshot> run() {
    for (SnapshotRecord& record : m_session.state().list_snapshots()) {
      if (record.platform == m_request.vm.platform && record.vm_id == m_vm_id) {
        m_records[record.snapshot_id] = std::move(record);
      }
    }
    m_unneeded = m_platform.unneeded_bases(m_vm_id, all_needed(m_session.state()));
    for (const SnapshotInfo& info : m_platform.list_snapshots(m_vm_id)) {
      look_at(info);
      m_records.erase(info.id);
    }
    // What the platform does not list any more, or never does (a file said to be offline).
    for (const auto& [id, record] : m_records) {
      look_at_record(record);
    }
    return m_result;
  }

 private:
  void look_at(const SnapshotInfo& info) {
    if (!info.ours) {
      leave(info.id, "this installation did not make it");
    } else if (info.state != "held") {
      look_at_base(info.id);
    } else if (const auto record = m_records.find(info.id); record != m_records.end()) {
      look_at_record(record->second);
    } else if (const std::string why =
                   why_of_another(m_session, m_request.vm.platform, m_vm_id, info.id);
               !why.empty()) {
      // Two sections may be two ways to one server.
      leave(info.id, why);
    } else {
      SnapshotRecord none;
      none.platform = m_request.vm.platform;
      none.vm_id = m_vm_id;
      none.snapshot_id = info.id;
      judge(none);
    }
  }

  void look_at_base(const std::string& id) {
    if (std::find(m_unneeded.begin(), m_unneeded.end(), id) == m_unneeded.end()) {
      leave(id, "nothing is held: changes are counted from it, here or by a checkpoint elsewhere");
      return;
    }
    attempt(id, "no checkpoint counts changes from it", [&] {
      m_session.check_leases();
      m_platform.delete_base(m_vm_id, id);
      m_session.log().info("base {} deleted: no checkpoint counts changes from it", id);
    });
  }

  void look_at_record(const SnapshotRecord& record) {
    if (record.state != k_intended) {
      judge(m_request.dry_run ? record : with_known_age(record, m_session));
    } else if (!m_request.dry_run && !m_failed) {
      // Its snapshot, if there was one, has been ended as an unrecorded one.
      m_session.state().remove_snapshot(record.platform, record.snapshot_id);
    }
  }

  void judge(const SnapshotRecord& record) {
    const auto max_hold = m_session.config().sync.snapshot_max_hold;
    const Verdict verdict = judge_stale(left_snapshot(m_session, record), max_hold,
                                        m_request.older_than.value_or(max_hold));
    if (verdict.fate != Fate::end && verdict.fate != Fate::finish) {
      leave(record.snapshot_id, verdict.reason);
      return;
    }
    attempt(record.snapshot_id, verdict.reason, [&] {
      end(record, verdict.fate == Fate::finish ? Outcome::committed : Outcome::failed);
    });
  }

  template <typename Deletion>
  void attempt(const std::string& id, const std::string& reason, Deletion deletion) {
    try {
      if (!m_request.dry_run) {
        deletion();
      }
      m_result.push_back({m_vm_id, id, StaleAction::deleted, reason});
    } catch (const Error& error) {
      m_session.cancel().check();
      m_session.log().error("snapshot {}: {}", id, error.what());
      m_result.push_back({m_vm_id, id, StaleAction::failed, error.what()});
      m_failed = true;
    }
  }

  void end(const SnapshotRecord& record, Outcome outcome) {
    if (record.document.empty()) {
      m_session.check_leases();
      m_platform.delete_snapshot(m_vm_id, record.snapshot_id);
      m_session.log().info("snapshot {} deleted: nobody recorded it", record.snapshot_id);
    } else {
      end_snapshot(
          parse_snapshot_document(record.document, "the record of snapshot " + record.snapshot_id),
          outcome, m_session, m_platform);
    }
  }

  void leave(const std::string& id, const std::string& reason) {
    m_result.push_back({m_vm_id, id, StaleAction::left, reason});
  }

  const SnapshotRequest& m_request;
  const std::string& m_vm_id;
  Session& m_session;
  Platform& m_platform;
  std::map<std::string, SnapshotRecord> m_records;
  std::vector<std::string> m_unneeded;
  std::vector<StaleSnapshot> m_result;
  bool m_failed = false;
};

std::vector<std::string> vms_of(const SnapshotRequest& request, Session& session,
                                Platform& platform) {
  if (!request.vm.vm.empty()) {
    return {resolve_recorded_vm(platform, session, request.vm)};
  }
  std::vector<std::string> ids;
  for (const Vm& vm : platform.vms()) {
    ids.push_back(vm.id);
  }
  if (platform.ends_without_vm()) {
    // What is recorded of vms that are gone.
    for (const SnapshotRecord& record : session.state().list_snapshots()) {
      if (record.platform == request.vm.platform &&
          std::find(ids.begin(), ids.end(), record.vm_id) == ids.end()) {
        ids.push_back(record.vm_id);
      }
    }
  }
  return ids;
}

}  // namespace

int run_delete_stale(const SnapshotRequest& request, Session& session) {
  const auto platform = session.open_platform(request.vm.platform);
  StaleReport report{request.vm.platform, request.dry_run, {}, {}};
  for (const std::string& vm_id : vms_of(request, session, *platform)) {
    session.log().set_vm(vm_id);
    try {
      const VmLock lock(session, request.vm.platform, vm_id, request.wait, session.cancel());
      for (StaleSnapshot& one : StaleSweep(request, vm_id, session, *platform).run()) {
        report.snapshots.push_back(std::move(one));
      }
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::busy) {
        throw;
      }
      session.log().warning("skipped: {}", error.what());
      fmt::print(stderr, "{}: error: {}\n", session.tool(), error.what());
      report.busy.push_back(vm_id);
    }
  }
  write_stdout(report_stale(report, request.common.format), session.cancel());
  for (const StaleSnapshot& one : report.snapshots) {
    if (one.action == StaleAction::failed) {
      fmt::print(stderr, "{}: error: {}: {}\n", session.tool(), one.snapshot_id, one.reason);
    }
  }
  const bool failed =
      std::any_of(report.snapshots.begin(), report.snapshots.end(),
                  [](const StaleSnapshot& one) { return one.action == StaleAction::failed; });
  if (failed) {
    return static_cast<int>(ExitStatus::failed);
  }
  return static_cast<int>(report.busy.empty() ? ExitStatus::done : ExitStatus::busy);
}

}  // namespace hamal
