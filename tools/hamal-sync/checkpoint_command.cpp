// hamal-sync checkpoint list|show|forget.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "common/output.hpp"
#include "common/repository_access.hpp"
#include "hamal-sync/commands.hpp"
#include "hamal-sync/first_fulls.hpp"
#include "hamal/state/checkpoint_json.hpp"
#include "hamal/store/open_store.hpp"
#include "hamal/sync/own_proxy.hpp"
#include "hamal/sync/restore_point.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal {

namespace {

std::string identity_of(const std::string& target, Session& session) {
  const Endpoint endpoint = session.parse_endpoint(target);
  return is_repository(endpoint)
             ? open_object_store(endpoint, session.config(), session.cancel())->canonical()
             : canonical_target(endpoint);
}

bool is_in_repository(const Checkpoint& c) {
  return c.identity.target.starts_with("dir:") || c.identity.target.starts_with("s3:");
}

}  // namespace

std::vector<Checkpoint> matching_checkpoints(const SyncRequest& request, Session& session) {
  const std::string target = request.target.empty() ? "" : identity_of(request.target, session);
  State& state = session.state();
  auto all = state.list_checkpoints();
  if (request.command == SyncCommand::list_checkpoints ||
      request.command == SyncCommand::forget_checkpoints) {
    add_first_fulls(all, state);
  }
  std::erase_if(all, [&](const Checkpoint& c) {
    return (!target.empty() && c.identity.target != target) ||
           (!request.vm.empty() && request.vm != c.identity.vm_id && request.vm != c.vm_name);
  });
  return all;
}

std::vector<Checkpoint> require_checkpoints(const SyncRequest& request, Session& session) {
  auto found = matching_checkpoints(request, session);
  if (found.empty()) {
    throw Error(ErrorKind::failed, "no checkpoint",
                request.target.empty() ? request.vm : request.target,
                "hamal-sync checkpoint list shows them all");
  }
  return found;
}

namespace {

void require_own_proxy(const Checkpoint& c, const SyncRequest& request, Session& session) {
  State& state = session.state();
  if (state.shared() && !is_in_repository(c)) {
    hamal::require_own_proxy(state.find_checkpoint(c.identity), state.find_in_progress(c.identity),
                             session.proxy_id(), c.target_uri, request.take_over);
  }
}

}  // namespace

TargetLocks lock_targets(const std::vector<Checkpoint>& checkpoints, const SyncRequest& request,
                         Session& session) {
  TargetLocks locks;
  std::set<LeaseKey> leased;
  for (const auto& c : checkpoints) {
    const LeaseKey vm{c.identity.platform, c.identity.vm_id};
    if (leased.insert(vm).second) {
      locks.vms.push_back(lease_vm(session, vm, request.wait, session.cancel()));
    }
    locks.targets.push_back(std::make_unique<FileLock>(
        session.lock_path("target", c.identity.target), "target " + c.target_uri,
        LockHolder{session.run_id(), session.tool()}, request.wait, session.cancel()));
    require_own_proxy(c, request, session);
  }
  return locks;
}

std::string json_lines(const std::vector<Checkpoint>& checkpoints, State& state) {
  std::string text;
  for (const auto& c : checkpoints) {
    const auto mark = state.find_in_progress(c.identity);
    text += mark ? to_json(c, *mark, can_roll_back(c, *mark, state.installation_id())) : to_json(c);
  }
  return text;
}

std::string restore_point_text(const Checkpoint& checkpoint, State& state) {
  const auto mark = state.find_in_progress(checkpoint.identity);
  if (!mark) {
    return {};
  }
  std::string text = "no restore point: a run has been changing it since " + mark->started;
  if (can_roll_back(checkpoint, *mark, state.installation_id())) {
    text += "; roll back with hamal-sync rollback --target " + checkpoint.target_uri;
  }
  return text;
}

namespace {

std::string list_text(const std::vector<Checkpoint>& all, State& state) {
  std::string text = fmt::format("{:<12} {:<16} {:<12} {:>5} {:>10} {:<24} {}\n", "PLATFORM", "VM",
                                 "DISK", "GEN", "SIZE", "COMMITTED", "TARGET");
  for (const auto& c : all) {
    text +=
        fmt::format("{:<12} {:<16} {:<12} {:>5} {:>10} {:<24} {}\n", c.identity.platform, c.vm_name,
                    c.identity.disk_id, c.generation, is_first_full(c) ? "-" : format_size(c.size),
                    is_first_full(c) ? "in progress" : c.committed, c.target_uri);
    if (!c.released.empty()) {
      text.insert(text.size() - 1, " (released " + c.released + ")");
    }
    if (const std::string status = restore_point_text(c, state); !status.empty()) {
      text.insert(text.size() - 1, " (" + status + ")");
    }
  }
  return text;
}

std::string show_text(const Checkpoint& c, State& state) {
  const std::string status = restore_point_text(c, state);
  return fmt::format(
      "platform    {}\nvm          {} ({})\ndisk        {}\ntarget      {}\nidentity    {}\n"
      "generation  {}\nsize        {} bytes\nchange id   {}\nsnapshot    {}\ncommitted   {}\n{}{}",
      c.identity.platform, c.vm_name, c.identity.vm_id, c.identity.disk_id, c.target_uri,
      c.identity.target, c.generation, c.size, c.change_id.empty() ? "(none)" : c.change_id,
      c.snapshot_id, c.committed,
      c.released.empty() ? "" : "released    " + c.released + " (the next run is a full)\n",
      status.empty() ? "" : "status      " + status + "\n");
}

}  // namespace

int run_checkpoint_command(const SyncRequest& request, Session& session) {
  const bool json = session.options().format == ReportFormat::json;
  if (request.command == SyncCommand::list_checkpoints) {
    const auto all = matching_checkpoints(request, session);
    write_stdout(json ? json_lines(all, session.state()) : list_text(all, session.state()),
                 session.cancel());
    return 0;
  }
  const auto found = require_checkpoints(request, session);
  if (request.command == SyncCommand::show_checkpoints) {
    std::string text;
    for (const auto& c : found) {
      text += show_text(c, session.state()) + (&c == &found.back() ? "" : "\n");
    }
    write_stdout(json ? json_lines(found, session.state()) : text, session.cancel());
    return 0;
  }
  const std::string forgotten = json_lines(found, session.state());
  const auto locks = lock_targets(found, request, session);
  for (const auto& c : found) {
    if (!request.dry_run) {
      session.state().forget_checkpoint(c.identity);
      drop_restore_point(c.identity.target, session.state().installation_id(), session.log());
      session.log().info("checkpoint of {}/{} on {} forgotten", c.vm_name, c.identity.disk_id,
                         c.target_uri);
    }
  }
  std::string text;
  for (const auto& c : found) {
    text += fmt::format("{} {} of {}/{} on {}\n", request.dry_run ? "would forget" : "forgot",
                        is_first_full(c) ? "the interrupted first full"
                                         : fmt::format("generation {}", c.generation),
                        c.vm_name, c.identity.disk_id, c.target_uri);
  }
  write_stdout(json ? forgotten : text, session.cancel());
  return 0;
}

}  // namespace hamal
