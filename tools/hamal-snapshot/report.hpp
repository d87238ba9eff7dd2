// The reports of hamal-snapshot: tables for people, one JSON object for scripts.
#pragma once
#include <string>
#include <vector>

#include "common/common_options.hpp"
#include "hamal/platform/platform.hpp"

namespace hamal {

std::string report_vms(const std::string& platform, const std::vector<Vm>& vms,
                       ReportFormat format);

/// A snapshot as the platform knows it, and whether our state does.
struct ListedSnapshot {
  SnapshotInfo info;
  bool recorded = false;
};
std::string report_snapshots(const std::string& platform,
                             const std::vector<ListedSnapshot>& snapshots, ReportFormat format);

/// What finish and delete say with --json. Outcome: committed, failed, held or deleted.
std::string report_ended(const std::string& platform, const std::string& vm_id,
                         const std::string& snapshot_id, const std::string& outcome);

enum class StaleAction { deleted, left, failed };

/// What became of one snapshot, and why.
struct StaleSnapshot {
  std::string vm_id;
  std::string snapshot_id;
  StaleAction action = StaleAction::left;
  std::string reason;
};

struct StaleReport {
  std::string platform;
  bool dry_run = false;
  std::vector<StaleSnapshot> snapshots;
  std::vector<std::string> busy;  ///< vms that other runs hold: not looked at
};
std::string report_stale(const StaleReport& report, ReportFormat format);

}  // namespace hamal
