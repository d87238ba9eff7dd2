#include "hamal-period/tasks.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "common/vm_operand.hpp"
#include "hamal-period/period_lock.hpp"
#include "hamal/period/schedule.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/random_id.hpp"
#include "hamal/util/text.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

constexpr unsigned k_key_digits = 32;
constexpr std::chrono::hours k_task_memory{30 * 24};
constexpr std::chrono::hours k_prune_pause{1};
// Local jobs are not to wait for a console for long.
constexpr std::chrono::milliseconds k_least_patience{10'000};
constexpr std::chrono::milliseconds k_most_patience{30'000};

/// What the console is told; the task is over.
class Refusal : public Error {
 public:
  explicit Refusal(const std::string& reason) : Error(ErrorKind::usage, reason) {}
};

Vm find_vm(const std::vector<Vm>& vms, const mass::Task& task) {
  std::vector<Vm> matches = vms_called(vms, task.vm);
  if (matches.empty()) {
    throw Refusal(fmt::format("platform {} has no vm {}", task.platform, task.vm));
  }
  if (matches.size() > 1) {
    throw Refusal(fmt::format("several vms of platform {} are called {}", task.platform, task.vm));
  }
  return std::move(matches.front());
}

/// Refused for good by the console, and not because of who we are.
bool is_unwanted(const mass::ConsoleRefusal& refusal) {
  return !refusal.transient() && refusal.status() != 401 && refusal.status() != 403;
}

}  // namespace

Tasks::Tasks(const PeriodRequest& request, Session& session) : m_session(session) {
  const bool whole_pass = request.jobs.empty() && request.vms.empty() && !request.now;
  if (!whole_pass || !mass::has_console(session.config())) {
    return;
  }
  m_console =
      std::make_unique<mass::Console>(mass::console_settings(session.config()), session.cancel());
  m_reporter = std::make_unique<TaskReporter>(*m_console, session.log(),
                                              session.config().period.task_update_wait_time);
}

Tasks::~Tasks() = default;

std::chrono::milliseconds Tasks::patience() const {
  return std::clamp(m_session.config().period.interval, k_least_patience, k_most_patience);
}

bool Tasks::ready() {
  if (!m_console || m_lock) {
    return m_console != nullptr;
  }
  const std::string& proxy = m_console->settings().proxy;
  try {
    m_lock.emplace(m_session.lock_path("mass", proxy), "the tasks of " + proxy,
                   LockHolder{m_session.run_id(), m_session.tool()}, std::chrono::milliseconds(0),
                   m_session.cancel());
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::busy) {
      throw;
    }
    m_session.log().debug("another process deals with the tasks: {}", error.what());
    return false;
  }
}

std::vector<Candidate> Tasks::fetch() {
  std::vector<Candidate> found;
  if (m_session.cancel().requested() || !ready()) {
    return found;
  }
  end_what_died();
  deliver();
  prune();
  try {
    mass::TaskList list = m_console->tasks(patience());
    for (const std::string& nameless : list.nameless) {
      m_session.log().warning("the console gave a task without an id: {}", nameless);
    }
    for (const mass::TaskEntry& entry : list.entries) {
      if (m_session.state().tasks().knows_task(m_console->settings().proxy, entry.id)) {
        continue;
      }
      if (!entry.task) {
        refuse(entry.id, entry.problem);
      } else if (auto candidate = judge(*entry.task, list)) {
        m_reporter->update(entry.id, {});
        found.push_back(std::move(*candidate));
      }
    }
  } catch (const Error& error) {
    if (m_session.cancel().requested()) {
      return found;  // whoever ends the pass sees to what runs
    }
    if (error.kind() != ErrorKind::failed) {
      throw;
    }
    m_session.log().warning("no tasks: {}", error.what());
  }
  deliver();
  return found;
}

std::optional<Candidate> Tasks::judge(const mass::Task& task, mass::TaskList& list) {
  try {
    if (task.expires && *task.expires <= list.server_time) {
      throw Refusal("it expired before it was begun");
    }
    return candidate_for(task);
  } catch (const Refusal& refusal) {
    refuse(task.id, refusal.problem());
  } catch (const Error& error) {
    m_session.cancel().check();
    // A platform that cannot be asked now may be asked at the next pass.
    m_session.log().warning("task {} waits: {}", task.id, error.what());
  }
  return std::nullopt;
}

Candidate Tasks::candidate_for(const mass::Task& task) {
  if (!m_session.config().platforms.contains(task.platform)) {
    throw Refusal(fmt::format("there is no platform {} here", task.platform));
  }
  auto jobs = period::jobs_of(m_session.config());
  std::erase_if(jobs, [&](const period::Job& job) {
    return job.platform != task.platform || job.target != task.target;
  });
  if (jobs.empty()) {
    throw Refusal(fmt::format("no job here syncs from platform {} to {}", task.platform,
                              escape_control(task.target)));
  }
  const Vm vm = find_vm(m_session.open_platform(task.platform, Marking::unneeded)->vms(), task);
  const auto job = std::find_if(jobs.begin(), jobs.end(), [&](const period::Job& one) {
    return one.matches(vm.id, vm.name);
  });
  if (job == jobs.end()) {
    throw Refusal(fmt::format("no job here syncs vm {} to that target", task.vm));
  }
  Candidate candidate;
  candidate.job = *job;
  candidate.task = task.id;
  if (!task.quiesce.empty()) {
    candidate.job.quiesce = task.quiesce;
  }
  candidate.vm = {.platform = task.platform, .id = vm.id, .name = vm.name};
  candidate.disks = protectable_disks(vm);
  candidate.asked = true;
  candidate.due = {.now = true,
                   .when = system_clock().wall(),
                   .reason = "the console asked for it by task " + task.id};
  return candidate;
}

// Of this proxy's tasks that are begun, those which no process runs any more: its programs hold the
// vm's lock as long as one of them lives.
void Tasks::end_what_died() {
  for (const TaskRecord& task :
       m_session.state().tasks().begun_tasks(m_console->settings().proxy)) {
    if (m_running.contains(task.id)) {
      continue;
    }
    try {
      const FileLock free = lock_period(m_session, task.platform, task.vm_id, m_session.run_id());
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::busy) {
        throw;
      }
      continue;
    }
    mass::TaskResult result;
    result.state = "interrupted";
    result.reason = "hamal-period ended while the task ran; the target is as its state says";
    result.exit_status = static_cast<int>(ExitStatus::failed);
    result.run_id = task.run_id;
    result.vm_id = task.vm_id;
    result.started = task.started;
    record(task.id, result);
  }
}

void Tasks::refuse(const std::string& id, const std::string& reason) {
  mass::TaskResult result;
  result.state = "refused";
  result.reason = reason;
  result.exit_status = static_cast<int>(ExitStatus::usage);
  record(id, result);
}

void Tasks::record(const std::string& id, const mass::TaskResult& result) {
  mass::TaskResult ended = result;
  ended.ended = rfc3339(system_clock().wall());
  m_session.state().tasks().end_task({.number = 0,
                                      .proxy = m_console->settings().proxy,
                                      .task = id,
                                      .key = random_hex(k_key_digits),
                                      .body = to_json(ended)});
  m_session.log().info("task {} is {}{}", id, ended.state,
                       ended.reason.empty() ? std::string() : ": " + ended.reason);
}

// The console does not deliver a task again that it has the result of; one that it forgets is in
// danger of being run again after that time.
void Tasks::prune() {
  const auto now = std::chrono::steady_clock::now();
  if (m_pruned && now < *m_pruned + k_prune_pause) {
    return;
  }
  m_pruned = now;
  const auto count =
      m_session.state().tasks().prune_tasks(rfc3339(system_clock().wall() - k_task_memory));
  if (count != 0) {
    m_session.log().info("{} tasks that ended long ago are forgotten", count);
  }
}

void Tasks::deliver() {
  if (m_session.cancel().requested() || !ready()) {
    return;
  }
  TaskState& tasks = m_session.state().tasks();
  for (const TaskReport& report : tasks.undelivered_reports(m_console->settings().proxy)) {
    try {
      m_console->put_result(report.task, report.key, report.body, patience());
    } catch (const mass::ConsoleRefusal& refusal) {
      if (!is_unwanted(refusal)) {
        m_session.log().warning("results are kept: {}", refusal.what());
        return;
      }
      m_session.log().error("the result of task {} is dropped: {}", report.task, refusal.what());
    } catch (const Error& error) {
      m_session.log().warning("results are kept: {}", error.what());
      return;
    }
    tasks.forget_report(report);
  }
}

bool Tasks::begin(const Candidate& candidate, const RunRecord& record) {
  const bool begun = m_session.state().tasks().begin_task({.proxy = m_console->settings().proxy,
                                                           .id = candidate.task,
                                                           .job = record.job,
                                                           .platform = record.platform,
                                                           .vm_id = record.vm_id,
                                                           .vm_name = record.vm_name,
                                                           .run_id = record.run_id,
                                                           .started = record.started});
  if (begun) {
    m_running.insert(candidate.task);
  }
  return begun;
}

void Tasks::end(const Candidate& candidate, const RunRecord& run,
                const period::VmOutcome& outcome) {
  if (candidate.task.empty()) {
    return;
  }
  m_reporter->forget(candidate.task);
  mass::TaskResult result;
  result.state = outcome.status == 0 ? "done" : outcome.interrupted ? "interrupted" : "failed";
  result.reason = outcome.status == 0 ? std::string() : outcome.error;
  result.exit_status = outcome.status;
  result.run_id = run.run_id;
  result.vm_id = run.vm_id;
  result.started = run.started;
  result.mode = outcome.mode;
  result.read_bytes = outcome.bytes;
  record(candidate.task, result);
  m_running.erase(candidate.task);
}

std::function<void(const period::RunProgress&)> Tasks::progress_of(const Candidate& candidate) {
  if (candidate.task.empty()) {
    return {};
  }
  return [reporter = m_reporter.get(), id = candidate.task](const period::RunProgress& progress) {
    reporter->update(id, progress);
  };
}

}  // namespace hamal
