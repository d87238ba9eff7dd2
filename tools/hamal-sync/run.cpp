// Dispatch, and what the forms of a sync share.
#include <fmt/core.h>

#include <algorithm>

#include "common/output.hpp"
#include "hamal-sync/commands.hpp"
#include "hamal/sync/result.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

std::chrono::milliseconds release_of(const std::string& platform_type,
                                     const PeriodSection& period) {
  if (platform_type == "vmware") {
    return period.vmware_release_cpu_time;
  }
  return platform_type == "openstack_ceph" ? period.openstack_release_cpu_time
                                           : std::chrono::milliseconds(0);
}

}  // namespace

int run_hamal_sync(const SyncRequest& request, Session& session) {
  switch (request.command) {
    case SyncCommand::sync:
      return with_metrics(request, session, [&](RunMetrics& metrics) {
        if (!restored_repository(request).empty()) {
          return sync_from_repository(request, session, metrics);
        }
        return request.source.empty() ? sync_from_stream(request, session, metrics)
                                      : sync_from_source(request, session, metrics);
      });
    case SyncCommand::compare:
      return compare_endpoints(request, session);
    case SyncCommand::list_checkpoints:
    case SyncCommand::show_checkpoints:
    case SyncCommand::forget_checkpoints:
      return run_checkpoint_command(request, session);
    case SyncCommand::release:
      return run_release_command(request, session);
    case SyncCommand::roll_back:
      return run_rollback_command(request, session);
  }
  return static_cast<int>(ExitStatus::failed);
}

std::vector<Endpoint> choose_targets(const SyncRequest& request, const StreamHeader& header,
                                     Session& session) {
  std::vector<Endpoint> targets(header.disks.size());
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (!request.target.empty()) {
      targets[i] = session.parse_endpoint(expand_target_pattern(
          request.target, header.vm_name, header.vm_id, header.disks[i].id, header.disks[i].index));
    }
  }
  for (const auto& map : request.maps) {
    const auto equals = map.find('=');
    const std::string id = map.substr(0, equals);
    const auto disk = std::find_if(header.disks.begin(), header.disks.end(),
                                   [&](const StreamDisk& d) { return d.id == id; });
    if (equals == std::string::npos || disk == header.disks.end()) {
      throw Error(ErrorKind::usage, "--map names no disk of " + header.vm_name, map,
                  "write --map DISK=URI with the id of a disk");
    }
    targets[static_cast<std::size_t>(disk - header.disks.begin())] =
        session.parse_endpoint(map.substr(equals + 1));
  }
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i].uri.empty()) {
      throw Error(ErrorKind::usage, "no target for this disk", header.disks[i].id,
                  "give --target, or --map " + header.disks[i].id + "=URI");
    }
  }
  return targets;
}

SyncOptions sync_options(const SyncRequest& request, const Config& config,
                         const std::string& platform_type) {
  const PlatformTypeSection& type = config.platform_type(platform_type);
  SyncOptions options;
  options.disk_flag = {type.skip_disk_flag, std::uint64_t{type.disk_flag_size_mb} << 20U};
  options.incremental = request.incremental;
  options.resize = request.resize;
  options.force = request.force;
  options.take_over = request.take_over;
  options.dry_run = request.dry_run;
  options.readers = request.readers.value_or(config.data_sync.pre_disk_readers_count);
  options.max_readers =
      std::max(options.readers,
               request.readers ? *request.readers : config.data_sync.max_pre_disk_readers_count);
  options.parallel_disks =
      request.parallel_disks.value_or(config.data_sync.parallel_sync_disks_count);
  options.max_parallel_disks =
      std::max(options.parallel_disks, request.parallel_disks
                                           ? *request.parallel_disks
                                           : config.data_sync.max_parallel_sync_disks_count);
  options.memory_limit = request.memory_limit.value_or(config.sync.memory_limit);
  options.bytes_per_second = request.bytes_per_second;
  options.release = release_of(platform_type, config.period);
  options.flush_period = config.data_sync.fsync_period_frequency;
  options.flush_timeout = config.data_sync.fsync_timeout;
  options.outage_max = config.sync.outage_max;
  return options;
}

SyncContext sync_context(const SyncRequest& request, Session& session) {
  return {
      .state = session.state(),
      .log = session.log(),
      .progress = session.progress(),
      .cancel = session.cancel(),
      .clock = system_clock(),
      .holder = LockHolder{session.run_id(), session.tool()},
      .lock_path =
          [&session](const std::string& target) { return session.lock_path("target", target); },
      .wait = request.wait,
      .still_ours = [&session] { session.check_leases(); },
      .proxy = session.proxy_id(),
      .endpoint_of = [&session](const std::string& uri) { return session.parse_endpoint(uri); }};
}

std::filesystem::path plan_directory(Session& session, const StreamHeader& header) {
  const std::string vm = vm_lock_name(header.platform, header.vm_id);
  const auto directory = std::filesystem::path(session.config().defaults.hamal_lib_dir) / "plans" /
                         session.lock_path("vm", vm).stem();
  std::vector<std::filesystem::path> named;
  for (const auto& mark : session.state().list_in_progress()) {
    named.emplace_back(mark.plan_path);
  }
  remove_stale_plans(directory, named);
  return directory;
}

int report_result(const SyncResult& result, const Session& session) {
  if (session.options().format == ReportFormat::json) {
    write_stdout(to_json(result), session.cancel());
  } else {
    write_stdout(to_text(result), session.cancel());
  }
  for (const auto& disk : result.disks) {
    if (disk.status != ExitStatus::done) {
      fmt::print(stderr, "{}: error: {}/{}: {}\n", session.tool(), result.vm_name, disk.disk,
                 disk.error);
    }
  }
  return static_cast<int>(result.status());
}

}  // namespace hamal
