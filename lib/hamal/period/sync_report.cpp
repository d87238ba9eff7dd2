#include "hamal/period/sync_report.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "hamal/util/units.hpp"

namespace hamal::period {
namespace {

using Json = nlohmann::json;

std::string text(const Json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t number(const Json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::string generation(const Json& disk) {
  const Json after = disk.value("checkpoint", Json::object()).value("after", Json());
  return after.is_object() ? fmt::format(", checkpoint {} of snapshot {}",
                                         number(after, "generation"), text(after, "snapshot_id"))
                           : std::string();
}

/// How long it took and what for; nothing of a disk that was not copied.
std::string pace(const Json& disk) {
  const auto found = disk.find("seconds");
  const std::string bound = text(disk, "bound_by");
  if (found == disk.end() || !found->is_number() || bound.empty()) {
    return {};
  }
  return fmt::format(" in {:.1f} s, bound by: {}", found->get<double>(), bound);
}

std::string line_of(const Json& disk) {
  const std::string error = text(disk, "error");
  return fmt::format("disk {} onto {}: {} ({}), {} read, {} written, {} zeroed{}{}: {}",
                     text(disk, "disk"), text(disk, "target"), text(disk, "mode"),
                     text(disk, "reason"), format_size(number(disk, "read_bytes")),
                     format_size(number(disk, "written_bytes")),
                     format_size(number(disk, "zeroed_bytes")), pace(disk), generation(disk),
                     error.empty() ? "done" : "FAILED: " + error);
}

}  // namespace

SyncReport parse_sync_report(const std::string& json) {
  SyncReport report;
  bool full = false;
  bool incremental = false;
  try {
    const Json result = Json::parse(json);
    for (const Json& disk : result.at("disks")) {
      full = full || text(disk, "mode") == "full";
      incremental = incremental || text(disk, "mode") == "incremental";
      report.read_bytes += number(disk, "read_bytes");
      report.disks.push_back(line_of(disk));
      if (report.error.empty() && !text(disk, "error").empty()) {
        report.error = text(disk, "disk") + ": " + text(disk, "error");
      }
    }
  } catch (const Json::exception&) {
    return {};
  }
  if (full || incremental) {
    report.mode = full && incremental ? "full+incremental" : full ? "full" : "incremental";
  }
  return report;
}

}  // namespace hamal::period
