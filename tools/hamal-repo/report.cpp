#include "hamal-repo/report.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/table.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

using nlohmann::json;
using repository::DiskVersion;
using repository::Manifest;

json to_json(const DiskVersion& disk) {
  return {{"id", disk.id},
          {"label", disk.label},
          {"index", disk.index},
          {"size", disk.size},
          {"change_id", disk.change_id},
          {"mode", to_string(disk.mode)},
          {"reason", disk.reason},
          {"layers", disk.layers.size()},
          {"data_bytes", disk.data_bytes},
          {"zero_bytes", disk.zero_bytes},
          {"stored_bytes", disk.stored_bytes},
          {"shared_bytes", disk.shared_bytes}};
}

json to_json(const Manifest& version) {
  const VersionSizes sizes = sizes_of(version);
  json disks = json::array();
  for (const DiskVersion& disk : version.disks) {
    disks.push_back(to_json(disk));
  }
  return {{"platform", version.vm.platform},    {"vm_id", version.vm.vm_id},
          {"vm_name", version.vm_name},         {"version", version.generation},
          {"snapshot_id", version.snapshot_id}, {"created", version.created},
          {"committed", version.committed},     {"logical_bytes", sizes.logical},
          {"changed_bytes", sizes.changed},     {"stored_bytes", sizes.stored},
          {"shared_bytes", sizes.shared},       {"disks", std::move(disks)}};
}

const char* mode_of(const Manifest& version) {
  for (const DiskVersion& disk : version.disks) {
    if (disk.mode == SyncMode::full) {
      return to_string(SyncMode::full);
    }
  }
  return to_string(SyncMode::incremental);
}

}  // namespace

VersionSizes sizes_of(const Manifest& version) {
  VersionSizes sizes;
  for (const DiskVersion& disk : version.disks) {
    sizes.logical += disk.size;
    sizes.changed += disk.data_bytes + disk.zero_bytes;
    sizes.stored += disk.stored_bytes;
    sizes.shared += disk.shared_bytes;
  }
  return sizes;
}

std::string report_versions(const std::vector<Manifest>& versions, ReportFormat format) {
  if (format == ReportFormat::json) {
    std::string lines;
    for (const Manifest& version : versions) {
      lines += to_json(version).dump() + "\n";
    }
    return lines;
  }
  std::vector<std::vector<std::string>> rows{
      {"PLATFORM", "VM", "VERSION", "SNAPSHOT OF", "DISKS", "SIZE", "CHANGED", "STORED", "MODE"}};
  for (const Manifest& version : versions) {
    const VersionSizes sizes = sizes_of(version);
    rows.push_back({version.vm.platform, version.vm_name, std::to_string(version.generation),
                    version.created, std::to_string(version.disks.size()),
                    format_size(sizes.logical), format_size(sizes.changed),
                    format_size(sizes.stored), mode_of(version)});
  }
  return format_table(rows);
}

std::string report_version(const Manifest& version, ReportFormat format) {
  const json document = json::parse(version.document);
  if (format == ReportFormat::json) {
    json text = to_json(version);
    text["document"] = document;
    return text.dump() + "\n";
  }
  std::string text = fmt::format(
      "platform   {}\nvm         {} ({})\nversion    {}\nsnapshot   {} of {}\ncommitted  {}\n",
      version.vm.platform, version.vm_name, version.vm.vm_id, version.generation,
      version.snapshot_id, version.created, version.committed);
  if (const auto hardware = document.find("hardware");
      hardware != document.end() && !hardware->empty()) {
    text += "hardware   " + hardware->dump() + "\n";
  }
  std::vector<std::vector<std::string>> rows{
      {"DISK", "LABEL", "SIZE", "DATA", "ZEROS", "STORED", "SHARED", "LAYERS", "MODE", "REASON"}};
  for (const DiskVersion& disk : version.disks) {
    rows.push_back({disk.id, disk.label, format_size(disk.size), format_size(disk.data_bytes),
                    format_size(disk.zero_bytes), format_size(disk.stored_bytes),
                    format_size(disk.shared_bytes), std::to_string(disk.layers.size()),
                    to_string(disk.mode), disk.reason});
  }
  return text + format_table(rows);
}

}  // namespace hamal
