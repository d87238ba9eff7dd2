#include "hamal/mass/messages.hpp"

#include <nlohmann/json.hpp>

#include "hamal/mass/json_text.hpp"

namespace hamal::mass {
namespace {

Json running_json(const std::vector<RunningWork>& all) {
  Json list = Json::array();
  for (const RunningWork& work : all) {
    Json item = work.task.empty() ? Json{{"job", name_text(work.job)}} : Json{{"task", work.task}};
    item["platform"] = name_text(work.platform);
    item["vm"] = name_text(work.vm);
    item["started"] = work.started;
    list.push_back(std::move(item));
  }
  return list;
}

Json errors_json(const std::vector<JobError>& all) {
  Json list = Json::array();
  for (const JobError& error : all) {
    list.push_back({{"job", name_text(error.job)},
                    {"platform", name_text(error.platform)},
                    {"vm", clipped(error.vm, k_longest_name)},
                    {"failures", error.failures},
                    {"error", clipped(error.error, k_longest_text)}});
  }
  return list;
}

Json load_json(const Load& load) {
  return {{"one", load.one},
          {"five", load.five},
          {"fifteen", load.fifteen},
          {"processors", load.processors},
          {"memory_bytes", load.memory_bytes},
          {"memory_available_bytes", load.memory_available_bytes}};
}

Json disks_json(const std::vector<DiskSpace>& all) {
  Json list = Json::array();
  for (const DiskSpace& disk : all) {
    list.push_back({{"path", name_text(disk.path)},
                    {"size_bytes", disk.size_bytes},
                    {"free_bytes", disk.free_bytes}});
  }
  return list;
}

}  // namespace

std::string to_json(const Registration& registration) {
  Json json{{"version", registration.version},
            {"installation_id", registration.installation_id},
            {"host", name_text(registration.host)},
            {"addresses", registration.addresses}};
  if (registration.public_addresses) {
    json["public_addresses"] = *registration.public_addresses;
  }
  json["platforms"] = Json::array();
  for (const PlatformName& platform : registration.platforms) {
    json["platforms"].push_back({{"name", platform.name}, {"type", platform.type}});
  }
  return dumped(json);
}

std::string to_json(const Heartbeat& heartbeat) {
  Json json{{"sent", heartbeat.sent}, {"version", heartbeat.version}};
  if (heartbeat.clock_skew_seconds) {
    json["clock_skew_seconds"] = *heartbeat.clock_skew_seconds;
  }
  json["load"] = load_json(heartbeat.load);
  json["disks"] = disks_json(heartbeat.disks);
  json["running"] = running_json(heartbeat.running);
  json["errors"] = errors_json(heartbeat.errors);
  json["undelivered_results"] = heartbeat.undelivered_results;
  return dumped(json);
}

std::string to_json(const TaskProgress& progress) {
  Json json{{"updated", progress.updated},
            {"phase", progress.phase},
            {"read_bytes", progress.read_bytes}};
  if (progress.total_bytes != 0) {
    json["total_bytes"] = progress.total_bytes;
  }
  return dumped(json);
}

std::string to_json(const TaskResult& result) {
  Json json{{"state", result.state}};
  const auto add = [&json](const char* field, const std::string& text) {
    if (!text.empty()) {
      json[field] = clipped(text, k_longest_text);
    }
  };
  add("reason",
      result.reason.empty() && result.state != "done" ? "for no known reason" : result.reason);
  json["exit_status"] = result.exit_status;
  add("run_id", result.run_id);
  add("vm_id", result.vm_id);
  add("started", result.started);
  add("ended", result.ended);
  add("mode", result.mode);
  if (!result.mode.empty()) {
    json["read_bytes"] = result.read_bytes;
  }
  return dumped(json);
}

}  // namespace hamal::mass
