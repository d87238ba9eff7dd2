#include "hamal/sync/result.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "hamal/util/units.hpp"

namespace hamal {
namespace {

using Json = nlohmann::ordered_json;

double seconds(std::uint64_t milliseconds) {
  return static_cast<double>(milliseconds) / 1000.0;
}

std::uint64_t per_second(std::uint64_t bytes, std::uint64_t milliseconds) {
  return milliseconds == 0 ? bytes * 1000 : bytes * 1000 / milliseconds;
}

std::uint64_t moved(const DiskResult& disk) {
  return disk.copied.written_bytes + disk.copied.zeroed_bytes;
}

Json checkpoint_json(const std::optional<Checkpoint>& checkpoint) {
  if (!checkpoint) {
    return nullptr;
  }
  return {{"change_id", checkpoint->change_id},
          {"snapshot_id", checkpoint->snapshot_id},
          {"generation", checkpoint->generation},
          {"size", checkpoint->size},
          {"committed", checkpoint->committed}};
}

Json extents_json(const std::vector<Extent>& extents) {
  Json list = Json::array();
  for (const Extent& extent : extents) {
    list.push_back({{"offset", extent.offset}, {"length", extent.length}});
  }
  return list;
}

Json resumed_json(const std::optional<Resumed>& resumed) {
  if (!resumed) {
    return nullptr;
  }
  // The finished ranges also hold what lies between the plan's extents.
  return {{"snapshot_id", resumed->snapshot_id},
          {"interrupted_run_started", resumed->started},
          {"finished_up_to", resumed->finished.empty() ? 0 : resumed->finished.front().end()},
          {"finished_ranges", resumed->finished.size()}};
}

Json shares_json(const TimeShares& times) {
  const auto sum = static_cast<double>(std::max<std::uint64_t>(
      times.source_ms + times.target_ms + times.throttle_ms + times.cpu_ms, 1));
  const auto share = [sum](std::uint64_t part) {
    return std::round(static_cast<double>(part) / sum * 1000) / 1000;
  };
  return {{"source", share(times.source_ms)},
          {"target", share(times.target_ms)},
          {"throttle", share(times.throttle_ms)},
          {"cpu", share(times.cpu_ms)}};
}

Json flag_json(const FlagReport& flag) {
  return {{"verdict", to_string(flag.verdict)},
          {"reason", flag.reason.empty() ? Json(nullptr) : Json(flag.reason)},
          {"compared", flag.compared},
          {"ignored", flag.ignored},
          {"wrong", flag.wrong},
          {"taken", flag.taken}};
}

Json stored_json(const std::optional<StoredBytes>& stored) {
  if (!stored) {
    return nullptr;
  }
  return {{"data_bytes", stored->data},
          {"zero_bytes", stored->zero},
          {"stored_bytes", stored->stored},
          {"shared_bytes", stored->shared},
          {"packs", stored->packs}};
}

Json version_json(const std::optional<VersionResult>& version) {
  if (!version) {
    return nullptr;
  }
  return {{"generation", version->generation},
          {"session", version->session},
          {"state", version->committed ? "committed" : "staged"}};
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json disk_json(const DiskResult& disk) {
  return {
      {"disk", disk.disk},
      {"label", disk.label},
      {"target", disk.target_uri},
      {"target_identity", disk.target},
      {"target_created", disk.target_created},
      {"size", disk.size},
      {"mode", to_string(disk.mode)},
      {"reason", disk.reason},
      {"read_by", text_or_null(disk.read_by)},
      {"read_by_reason", text_or_null(disk.read_by_reason)},
      {"status", static_cast<int>(disk.status)},
      {"error", disk.error.empty() ? Json(nullptr) : Json(disk.error)},
      {"disk_flag", flag_json(disk.flag)},
      {"overridden", disk.overridden},
      {"asked",
       {{"extents", disk.planned.extents},
        {"data_bytes", disk.planned.data_bytes},
        {"zero_bytes", disk.planned.zero_bytes}}},
      {"resumed", resumed_json(disk.resumed)},
      {"united_with_run_of", disk.united.empty() ? Json(nullptr) : Json(disk.united)},
      {"read_bytes", disk.copied.read_bytes},
      {"read_requests", disk.copied.read_requests},
      {"retried_requests", disk.copied.retried_requests},
      {"unreadable", extents_json(disk.copied.unreadable)},
      {"written_bytes", disk.copied.written_bytes},
      {"zeroed_bytes", disk.copied.zeroed_bytes},
      {"skipped_bytes", disk.copied.skipped_bytes},
      {"repository", stored_json(disk.stored)},
      {"readers", disk.copied.workers},
      {"outages", disk.outages},
      {"flushes", disk.flushes},
      {"seconds", seconds(disk.total_ms)},
      {"copy_seconds", seconds(disk.copy_ms)},
      {"flush_seconds", seconds(disk.flush_ms)},
      {"bytes_per_second", per_second(disk.copied.read_bytes, disk.copy_ms)},
      {"waited",
       {{"source_seconds", seconds(disk.copied.times.source_ms)},
        {"target_seconds", seconds(disk.copied.times.target_ms)},
        {"throttle_seconds", seconds(disk.copied.times.throttle_ms)},
        {"cpu_seconds", seconds(disk.copied.times.cpu_ms)}}},
      {"shares", shares_json(disk.copied.times)},
      {"bound_by", bound_by(disk.copied.times)},
      {"checkpoint",
       {{"before", checkpoint_json(disk.before)}, {"after", checkpoint_json(disk.after)}}},
  };
}

}  // namespace

ExitStatus SyncResult::status() const {
  const auto stopped = std::find_if(disks.begin(), disks.end(), [](const DiskResult& disk) {
    return disk.status == ExitStatus::interrupted || disk.status == ExitStatus::terminated;
  });
  if (stopped != disks.end()) {
    return stopped->status;
  }
  const auto failed = std::find_if(disks.begin(), disks.end(), [](const DiskResult& disk) {
    return disk.status != ExitStatus::done;
  });
  if (failed == disks.end()) {
    return ExitStatus::done;
  }
  const bool some = std::any_of(disks.begin(), disks.end(), [](const DiskResult& disk) {
    return disk.status == ExitStatus::done;
  });
  return some ? ExitStatus::partial : failed->status;
}

std::string to_json(const SyncResult& result) {
  Json disks = Json::array();
  for (const auto& disk : result.disks) {
    disks.push_back(disk_json(disk));
  }
  const Json object = {
      {"format", "hamal-sync-result"},
      {"version", 1},
      {"run_id", result.run_id},
      {"platform", result.platform},
      {"vm_id", result.vm_id},
      {"vm_name", result.vm_name},
      {"snapshot_id", result.snapshot_id},
      {"dry_run", result.dry_run},
      {"status", static_cast<int>(result.status())},
      {"seconds", seconds(result.total_ms)},
      {"repository_version", version_json(result.version)},
      {"disks", disks},
  };
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_text(const SyncResult& result) {
  std::string text;
  for (const auto& disk : result.disks) {
    text += fmt::format("{}/{} -> {}: ", result.vm_name, disk.disk, disk.target_uri);
    if (disk.status != ExitStatus::done) {
      text += fmt::format("FAILED (status {})\n  {}\n", static_cast<int>(disk.status), disk.error);
      continue;
    }
    text += fmt::format("{} ({})\n", to_string(disk.mode), disk.reason);
    if (!disk.read_by.empty()) {
      text += fmt::format("  read by {}: {}\n", disk.read_by, disk.read_by_reason);
    }
    for (const std::string& what : disk.overridden) {
      text += "  overridden by --force: " + what + "\n";
    }
    if (result.dry_run) {
      text += fmt::format("  would copy {} in {} extents, and zero {}\n",
                          format_size(disk.planned.data_bytes), disk.planned.extents,
                          format_size(disk.planned.zero_bytes));
      continue;
    }
    text += fmt::format("  asked {} extents: {} data, {} zero, of a disk of {}\n",
                        disk.planned.extents, format_size(disk.planned.data_bytes),
                        format_size(disk.planned.zero_bytes), format_size(disk.size));
    text += fmt::format(
        "  read {}, wrote {}, zeroed {} in {:.2f} s ({}/s; flush {:.2f} s; bound by: {})\n",
        format_size(disk.copied.read_bytes), format_size(disk.copied.written_bytes),
        format_size(disk.copied.zeroed_bytes), seconds(disk.total_ms),
        format_size(per_second(moved(disk), disk.copy_ms)), seconds(disk.flush_ms),
        bound_by(disk.copied.times));
    if (disk.stored) {
      text += fmt::format("  stored {} in {} packs for {} of data; {} were there already\n",
                          format_size(disk.stored->stored), disk.stored->packs,
                          format_size(disk.stored->data), format_size(disk.stored->shared));
    }
    if (disk.resumed) {
      text += disk.resumed->started.empty()
                  ? "  went on where an earlier run was interrupted\n"
                  : fmt::format("  went on where the run of {} was interrupted\n",
                                disk.resumed->started);
    }
    if (disk.outages > 0) {
      text += fmt::format("  {} outages were waited for\n", disk.outages);
    }
    if (disk.after) {
      text += fmt::format("  checkpoint: generation {}{}\n", disk.after->generation,
                          disk.after->change_id.empty() ? " (no change tracking: next run is full)"
                                                        : ", " + disk.after->change_id);
    }
  }
  if (result.version) {
    text +=
        fmt::format("version {} of {} is {}\n", result.version->generation, result.vm_name,
                    result.version->committed
                        ? "committed"
                        : "staged: `hamal-repo commit` with the snapshot document publishes it");
  }
  return text;
}

}  // namespace hamal
