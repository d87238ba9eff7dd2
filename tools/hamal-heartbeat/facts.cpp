#include "hamal-heartbeat/facts.hpp"

#include <algorithm>
#include <set>

#include "hamal/mass/host_facts.hpp"
#include "hamal/period/job_record.hpp"
#include "hamal/period/schedule.hpp"
#include "hamal/util/host.hpp"
#include "hamal/util/time.hpp"
#include "hamal/version.hpp"

namespace hamal {
namespace {

/// A proxy of a thousand failing vms says so by the first ones.
constexpr std::size_t k_most_errors = 100;

std::vector<mass::DiskSpace> disks_of(const Config& config) {
  std::vector<mass::DiskSpace> disks;
  for (const std::string& path :
       {config.defaults.hamal_lib_dir, config.defaults.log_dir, config.sync.scratch_dir}) {
    const auto space = path.empty() ? std::nullopt : mass::disk_space(path);
    if (space) {
      disks.push_back(*space);
    }
  }
  return disks;
}

void add_runs(mass::Heartbeat& heartbeat, Session& session) {
  const std::string& proxy = session.config().mass.hyper_exporter_id;
  std::set<std::string> of_tasks;
  for (const TaskRecord& task : session.state().tasks().begun_tasks(proxy)) {
    of_tasks.insert(task.run_id);
    heartbeat.running.push_back({.job = {},
                                 .task = task.id,
                                 .platform = task.platform,
                                 .vm = task.vm_name,
                                 .started = task.started});
  }
  heartbeat.undelivered_results = session.state().tasks().undelivered_reports(proxy).size();
  for (const RunRecord& run : session.state().list_runs()) {
    if (of_tasks.contains(run.run_id)) {
      continue;
    }
    if (run.state == period::k_running) {
      heartbeat.running.push_back({.job = run.job,
                                   .task = {},
                                   .platform = run.platform,
                                   .vm = run.vm_name,
                                   .started = run.started});
    } else if (run.state == period::k_failed && heartbeat.errors.size() < k_most_errors) {
      heartbeat.errors.push_back(
          {.job = run.job,
           .platform = run.platform,
           .vm = period::is_job_record(run.vm_id) ? std::string() : run.vm_name,
           .failures = run.failures,
           .error = run.last_error});
    }
  }
}

}  // namespace

mass::Registration registration_of(Session& session) {
  mass::Registration registration;
  registration.version = k_version;
  registration.installation_id = session.state().installation_id();
  registration.host = host_name();
  registration.addresses = mass::host_addresses();
  for (const auto& [name, section] : session.config().platforms) {
    registration.platforms.push_back({name, section.get("type", "-")});
  }
  return registration;
}

mass::Heartbeat heartbeat_of(Session& session, std::optional<std::int64_t> clock_skew) {
  mass::Heartbeat heartbeat;
  heartbeat.sent = rfc3339(system_clock().wall());
  heartbeat.version = k_version;
  heartbeat.clock_skew_seconds = clock_skew;
  heartbeat.load = mass::host_load();
  heartbeat.disks = disks_of(session.config());
  add_runs(heartbeat, session);
  return heartbeat;
}

}  // namespace hamal
