#include "hamal-snapshot/report.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

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

namespace {

/// A column of the table that stays away when no vm has anything in it.
struct VmColumn {
  const char* title;
  std::string (*text)(const Vm& vm, const VmDisk* disk);
};

constexpr std::array k_vm_columns{
    VmColumn{"HOST", [](const Vm& vm, const VmDisk*) { return vm.host; }},
    VmColumn{"TRACKING",
             [](const Vm& vm, const VmDisk*) {
               return std::string(!vm.tracking ? "" : *vm.tracking ? "on" : "off");
             }},
    VmColumn{"DATASTORE",
             [](const Vm&, const VmDisk* disk) { return disk == nullptr ? "" : disk->datastore; }},
    VmColumn{"BACKING",
             [](const Vm&, const VmDisk* disk) { return disk == nullptr ? "" : disk->backing; }},
    VmColumn{"MODE",
             [](const Vm&, const VmDisk* disk) { return disk == nullptr ? "" : disk->mode; }},
    VmColumn{"SHARING",
             [](const Vm&, const VmDisk* disk) { return disk == nullptr ? "" : disk->sharing; }},
};

std::vector<VmColumn> used_columns(const std::vector<Vm>& vms) {
  std::vector<VmColumn> used;
  for (const VmColumn& column : k_vm_columns) {
    const bool any = std::any_of(vms.begin(), vms.end(), [&](const Vm& vm) {
      return !column.text(vm, nullptr).empty() ||
             std::any_of(vm.disks.begin(), vm.disks.end(),
                         [&](const VmDisk& disk) { return !column.text(vm, &disk).empty(); });
    });
    if (any) {
      used.push_back(column);
    }
  }
  return used;
}

Json json_of(const VmDisk& disk) {
  Json json{{"id", disk.id},
            {"label", disk.label},
            {"size", disk.size},
            {"protectable", disk.protectable},
            {"reason", disk.reason}};
  const auto add = [&json](const char* name, const std::string& text) {
    if (!text.empty()) {
      json[name] = text;
    }
  };
  add("datastore", disk.datastore);
  add("backing", disk.backing);
  add("mode", disk.mode);
  add("sharing", disk.sharing);
  return json;
}

Json json_of(const Vm& vm) {
  Json json{{"id", vm.id}, {"name", vm.name}, {"power", vm.power}};
  if (!vm.host.empty()) {
    json["host"] = vm.host;
  }
  if (vm.tracking) {
    json["tracking"] = *vm.tracking;
  }
  json["disks"] = Json::array();
  for (const VmDisk& disk : vm.disks) {
    json["disks"].push_back(json_of(disk));
  }
  return json;
}

}  // namespace

std::string report_vms(const std::string& platform, const std::vector<Vm>& vms,
                       ReportFormat format) {
  if (format == ReportFormat::json) {
    Json list = Json::array();
    for (const Vm& vm : vms) {
      list.push_back(json_of(vm));
    }
    return dump({{"platform", platform}, {"vms", list}});
  }
  const std::vector<VmColumn> columns = used_columns(vms);
  std::vector<std::vector<std::string>> rows{{"VM", "ID", "POWER", "DISK", "SIZE"}};
  for (const VmColumn& column : columns) {
    rows.front().emplace_back(column.title);
  }
  rows.front().insert(rows.front().end(), {"PROTECTABLE", "REASON"});
  const auto add = [&](const Vm& vm, const VmDisk* disk) {
    std::vector<std::string> row{vm.name, vm.id, vm.power, disk == nullptr ? "" : disk->id,
                                 disk == nullptr ? "" : format_size(disk->size)};
    for (const VmColumn& column : columns) {
      row.push_back(column.text(vm, disk));
    }
    row.emplace_back(disk == nullptr ? "" : disk->protectable ? "yes" : "no");
    row.push_back(disk == nullptr ? "" : disk->reason);
    rows.push_back(std::move(row));
  };
  for (const Vm& vm : vms) {
    if (vm.disks.empty()) {
      add(vm, nullptr);
    }
    for (const VmDisk& disk : vm.disks) {
      add(vm, &disk);
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
