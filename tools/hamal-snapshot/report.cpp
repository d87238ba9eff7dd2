#include "hamal-snapshot/report.hpp"

#include <nlohmann/json.hpp>

#include "common/table.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

using Json = nlohmann::ordered_json;

/// Names come from the platform: bytes that are no UTF-8 must not fail the report.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

const char* word(StaleAction action, bool dry_run) {
  switch (action) {
    case StaleAction::deleted:
      return dry_run ? "would delete" : "deleted";
    case StaleAction::left:
      return "left";
    case StaleAction::failed:
      return "failed";
  }
  return "";
}

}  // namespace

std::string report_vms(const std::string& platform, const std::vector<Vm>& vms,
                       ReportFormat format) {
  if (format == ReportFormat::json) {
    Json list = Json::array();
    for (const Vm& vm : vms) {
      Json disks = Json::array();
      for (const VmDisk& disk : vm.disks) {
        disks.push_back({{"id", disk.id},
                         {"label", disk.label},
                         {"size", disk.size},
                         {"protectable", disk.protectable},
                         {"reason", disk.reason}});
      }
      list.push_back({{"id", vm.id}, {"name", vm.name}, {"power", vm.power}, {"disks", disks}});
    }
    return dump({{"platform", platform}, {"vms", list}});
  }
  std::vector<std::vector<std::string>> rows{
      {"VM", "ID", "POWER", "DISK", "SIZE", "PROTECTABLE", "REASON"}};
  for (const Vm& vm : vms) {
    if (vm.disks.empty()) {
      rows.push_back({vm.name, vm.id, vm.power, "", "", "", ""});
    }
    for (const VmDisk& disk : vm.disks) {
      rows.push_back({vm.name, vm.id, vm.power, disk.id, format_size(disk.size),
                      disk.protectable ? "yes" : "no", disk.reason});
    }
  }
  return format_table(rows);
}

std::string report_snapshots(const std::string& platform,
                             const std::vector<ListedSnapshot>& snapshots, ReportFormat format) {
  if (format == ReportFormat::json) {
    Json list = Json::array();
    for (const ListedSnapshot& one : snapshots) {
      list.push_back({{"id", one.info.id},
                      {"vm_id", one.info.vm_id},
                      {"created", one.info.created},
                      {"state", one.info.state},
                      {"ours", one.info.ours},
                      {"recorded", one.recorded}});
    }
    return dump({{"platform", platform}, {"snapshots", list}});
  }
  std::vector<std::vector<std::string>> rows{
      {"SNAPSHOT", "VM", "CREATED", "STATE", "OURS", "RECORDED"}};
  for (const ListedSnapshot& one : snapshots) {
    rows.push_back({one.info.id, one.info.vm_id, one.info.created, one.info.state,
                    one.info.ours ? "yes" : "no", one.recorded ? "yes" : "no"});
  }
  return format_table(rows);
}

std::string report_ended(const std::string& platform, const std::string& vm_id,
                         const std::string& snapshot_id, const std::string& outcome) {
  return dump({{"platform", platform},
               {"vm_id", vm_id},
               {"snapshot_id", snapshot_id},
               {"outcome", outcome}});
}

std::string report_stale(const StaleReport& report, ReportFormat format) {
  if (format == ReportFormat::json) {
    Json list = Json::array();
    for (const StaleSnapshot& one : report.snapshots) {
      list.push_back({{"id", one.snapshot_id},
                      {"vm_id", one.vm_id},
                      {"action", word(one.action, report.dry_run)},
                      {"reason", one.reason}});
    }
    return dump({{"platform", report.platform},
                 {"dry_run", report.dry_run},
                 {"snapshots", list},
                 {"busy", report.busy}});
  }
  std::vector<std::vector<std::string>> rows{{"SNAPSHOT", "VM", "ACTION", "REASON"}};
  for (const StaleSnapshot& one : report.snapshots) {
    rows.push_back({one.snapshot_id, one.vm_id, word(one.action, report.dry_run), one.reason});
  }
  for (const std::string& vm_id : report.busy) {
    rows.push_back({"", vm_id, "skipped", "another run holds the vm"});
  }
  return format_table(rows);
}

}  // namespace hamal
