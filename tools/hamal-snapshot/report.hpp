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

/// What finish and delete say with --json.
std::string report_ended(const std::string& platform, const std::string& vm_id,
                         const std::string& snapshot_id, const std::string& outcome);

}  // namespace hamal
