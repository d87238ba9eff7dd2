#include "hamal-period/pass.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>

#include "common/period_run.hpp"
#include "common/vm_lease.hpp"
#include "hamal-period/period_lock.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/random_id.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

constexpr std::uint64_t k_least_memory = 1U << 20;  // what hamal-sync takes
constexpr std::uint64_t k_least_bandwidth = 1024;
constexpr int k_retry_ms = 1000;  // of a state that cannot be used; it waits by itself, too

unsigned disks_of(const Candidate& candidate, const Config& config) {
  return std::min(candidate.disks, config.data_sync.parallel_sync_disks_count);
}

bool is_same(const period::VmName& a, const period::VmName& b) {
  return a.platform == b.platform && a.id == b.id;
}

/// In a folder that is made when it is not there: pasted lines write there, too.
std::string document_path(const Config& config, const period::VmName& vm) {
  const std::filesystem::path folder =
      std::filesystem::path(config.defaults.hamal_lib_dir) / "period";
  make_private_directories(folder);
  return folder / (period::safe_file_name(vm.platform + "/" + vm.id) + ".json");
}

bool is_stop(const Error& error) {
  return error.kind() == ErrorKind::interrupted || error.kind() == ErrorKind::terminated;
}

/// As it begins now.
RunRecord record_of(const Candidate& candidate, const std::string& run_id) {
  RunRecord record = candidate.last;
  record.job = candidate.job.name;
  record.platform = candidate.vm.platform;
  record.vm_id = candidate.vm.id;
  record.vm_name = candidate.vm.name;
  record.state = period::k_running;
  record.run_id = run_id;
  record.started = rfc3339(system_clock().wall());
  record.ended.clear();
  return record;
}

std::string config_option(const Session& session) {
  return session.options().config_presence == ConfigPresence::required
             ? std::filesystem::absolute(session.options().config_path).string()
             : std::string();
}

}  // namespace

period::CommandLines lines_of(const Candidate& candidate, const std::vector<Candidate>& due,
                              const Session& session, period::TimePoint now) {
  const Config& config = session.config();
  const unsigned all_disks = config.data_sync.parallel_sync_disks_count;
  period::Share share;
  share.disks = disks_of(candidate, config);
  share.memory = std::max(k_least_memory, config.sync.memory_limit / all_disks * share.disks);
  const auto limit = candidate.job.bandwidth_at(now);
  if (limit != 0) {
    const auto same_job = static_cast<std::uint64_t>(std::count_if(
        due.begin(), due.end(),
        [&](const Candidate& other) { return other.job.name == candidate.job.name; }));
    const std::uint64_t at_once = std::clamp<std::uint64_t>(same_job, 1, all_disks);
    share.bytes_per_second = std::max(k_least_bandwidth, limit / at_once);
  }
  return command_lines(
      candidate.job, candidate.vm, share, document_path(config, candidate.vm),
      config_option(session),
      candidate.task.empty() ? period::ProgressReader::people : period::ProgressReader::program);
}

struct Runs::Running {
  Candidate candidate;
  period::VmTask task;
  RunRecord record;
  std::optional<FileLock> lock;    // nothing, as the lease and the log, of one that did not start
  std::unique_ptr<VmLease> lease;  // released first
  unsigned disks = 1;
  std::unique_ptr<Logger> log;
  period::VmOutcome outcome;
  std::chrono::steady_clock::time_point begin;
  std::chrono::milliseconds took{0};
  bool task_ended = false;  // the console's task is recorded
  std::atomic<bool> ended{false};
  std::thread thread;
};

Runs::Runs(Session& session, Tasks& tasks)
    : m_session(session),
      m_tasks(tasks),
      m_subprocess_log(session.open_log("hamal-period-subprocess.log", {})),
      m_ended(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      m_free_disks(session.config().data_sync.parallel_sync_disks_count) {
  if (!m_ended) {
    throw system_error("cannot make an event", {}, errno);
  }
}

Runs::~Runs() {
  m_cancel.request(SIGTERM);
  for (const auto& run : m_running) {
    run->thread.join();
  }
}

template <typename Is>
bool Runs::is_any_held(const Is& is) const {
  const auto of = [&](const std::unique_ptr<Running>& run) { return is(*run); };
  return std::any_of(m_running.begin(), m_running.end(), of) ||
         std::any_of(m_unrecorded.begin(), m_unrecorded.end(), of);
}

void Runs::add(std::vector<Candidate> due) {
  for (Candidate& candidate : due) {
    const auto same = [&](const Candidate& other) {
      // A task is one of its own; what a job wants is also done by a task of that job.
      return candidate.task.empty()
                 ? other.job.name == candidate.job.name && is_same(other.vm, candidate.vm)
                 : other.task == candidate.task;
    };
    const bool known = std::any_of(m_waiting.begin(), m_waiting.end(), same) ||
                       is_any_held([&](const Running& run) { return same(run.candidate); });
    if (!known) {
      m_waiting.push_back(std::move(candidate));
    }
  }
}

void Runs::work(std::optional<std::chrono::steady_clock::time_point> until, PassTotals& totals) {
  for (;;) {
    if (m_session.cancel().requested()) {
      m_waiting.clear();
      m_cancel.request(SIGTERM);
    }
    m_outage = false;
    m_has_time = until.has_value();
    record_ended(totals);
    if (!m_outage) {
      start_waiting(totals);
    }
    m_outage_told = m_outage_told && m_outage;
    const bool stopping = m_session.cancel().requested();
    if (m_running.empty() && (stopping || (m_waiting.empty() && m_unrecorded.empty()))) {
      return;
    }
    int patience = -1;
    if (until) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          *until - std::chrono::steady_clock::now());
      if (left.count() <= 0 && !stopping) {
        return;
      }
      patience = static_cast<int>(std::clamp<std::int64_t>(left.count() + 1, 1, 3'600'000));
    }
    if (m_outage) {
      patience = patience < 0 ? k_retry_ms : std::min(patience, k_retry_ms);
    }
    wait(patience);
    take_ended(totals);
  }
}

void Runs::wait(int milliseconds) {
  // Once requested it stays readable: then only ends are of interest.
  const bool stopping = m_session.cancel().requested();
  pollfd fds[] = {{m_ended.get(), POLLIN, 0},
                  {stopping ? -1 : m_session.cancel().poll_fd(), POLLIN, 0}};
  ::poll(fds, 2, stopping && !m_outage ? -1 : milliseconds);
  std::uint64_t count = 0;
  [[maybe_unused]] const auto ignored = ::read(m_ended.get(), &count, sizeof count);
}

bool Runs::runs_now(const period::VmName& vm) const {
  return is_any_held([&](const Running& run) { return is_same(run.candidate.vm, vm); });
}

void Runs::start_waiting(PassTotals& totals) {
  const std::vector<Candidate> due(m_waiting.begin(), m_waiting.end());
  for (auto at = m_waiting.begin(); at != m_waiting.end();) {
    if (runs_now(at->vm)) {
      ++at;  // of another job: afterwards
      continue;
    }
    // In order: a large vm is not overtaken by small ones for ever.
    if (disks_of(*at, m_session.config()) > m_free_disks) {
      return;
    }
    Candidate candidate = std::move(*at);
    at = m_waiting.erase(at);
    const std::string run_id = random_hex(8);
    try {
      start(candidate, run_id, lines_of(candidate, due, m_session, system_clock().wall()), totals);
    } catch (const Error& error) {
      if (error.transient() || is_stop(error)) {
        m_waiting.push_front(std::move(candidate));
        outlast(error);
        return;
      }
      fail_to_start(std::move(candidate), run_id, error, totals);
    }
  }
}

void Runs::fail_to_start(Candidate candidate, const std::string& run_id, const Error& error,
                         PassTotals& totals) {
  auto run = std::make_unique<Running>();
  run->task.job = candidate.job;
  run->record = record_of(candidate, run_id);
  run->candidate = std::move(candidate);
  run->begin = std::chrono::steady_clock::now();
  run->outcome.status = static_cast<int>(exit_status(error));
  run->outcome.error = std::string("it could not be started: ") + error.what();
  conclude(*run, totals);
  m_unrecorded.push_back(std::move(run));
  tell_end();
}

void Runs::tell_end() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto ignored = ::write(m_ended.get(), &one, sizeof one);
}

void Runs::outlast(const Error& error) {
  if (!error.transient() || (m_running.empty() && !m_has_time)) {
    throw;
  }
  if (!m_outage_told) {
    m_session.log().warning("the state is waited for, and the runs go on: {}", error.what());
  }
  m_outage = true;
  m_outage_told = true;
}

void Runs::start(Candidate& candidate, const std::string& run_id, period::CommandLines lines,
                 PassTotals& totals) {
  const period::VmName vm = candidate.vm;
  std::unique_ptr<Running> run = hold(candidate, run_id, totals);
  if (!run) {
    return;
  }
  run->task = {.job = candidate.job,
               .vm = vm,
               .why = candidate.due.reason,
               .run_id = run_id,
               .lines = std::move(lines),
               .lock_fds = {run->lock->fd()},
               .lock_variables = {period_lock_environment(run->lock->fd())},
               .on_progress = m_tasks.progress_of(candidate)};
  if (run->lease) {
    run->task.lock_fds.push_back(run->lease->lock_fd());
    run->task.lock_variables.push_back(run->lease->environment());
  }
  run->record = record_of(candidate, run_id);
  // Before anything is known to run: it may not be possible.
  run->log = m_session.open_log(period::vm_log_name(vm), run_id);
  run->log->set_vm(vm.name);
  if (!candidate.task.empty() && !candidate.begun && !m_tasks.begin(candidate, run->record)) {
    return;  // begun before, however that was: never twice
  }
  candidate.begun = true;
  if (!put_run(run->record)) {
    period::VmOutcome lost;
    lost.status = static_cast<int>(ExitStatus::busy);
    lost.error = "another proxy has the vm";
    m_tasks.end(candidate, run->record, lost);
    return;
  }
  run->disks = disks_of(candidate, m_session.config());
  run->candidate = std::move(candidate);
  run->begin = std::chrono::steady_clock::now();
  m_session.log().info("job {}: vm {} begins (run {}): {}", run->task.job.name, vm.name, run_id,
                       run->task.why);
  m_free_disks -= run->disks;
  Running* const started = run.get();
  m_running.push_back(std::move(run));
  started->thread = std::thread([this, started] {
    try {
      started->outcome = run_vm(started->task, {*started->log, *m_subprocess_log}, m_cancel);
    } catch (const std::exception& error) {
      started->outcome.status = static_cast<int>(ExitStatus::failed);
      started->outcome.error = error.what();
    }
    started->ended = true;
    tell_end();
  });
}

std::unique_ptr<Runs::Running> Runs::hold(Candidate& candidate, const std::string& run_id,
                                          PassTotals& totals) {
  const period::VmName& vm = candidate.vm;
  auto run = std::make_unique<Running>();
  try {
    run->lock = lock_period(m_session, vm.platform, vm.id, run_id);
    run->lease =
        lease_vm(m_session, {vm.platform, vm.id}, std::chrono::milliseconds(0), m_session.cancel());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::busy) {
      throw;
    }
    // Another pass syncs it, and records what becomes of it.
    ++totals.busy;
    m_session.log().info("job {}: vm {}: {}", candidate.job.name, vm.name, error.what());
    return nullptr;
  }
  // It was found due before it was ours: another proxy may have synced it meanwhile.
  const auto last = m_session.state().find_run(candidate.job.name, vm.platform, vm.id);
  if (!candidate.asked &&
      !judge(candidate.job, last ? &*last : nullptr, system_clock().wall()).now) {
    m_session.log().info("job {}: vm {} was synced by another pass", candidate.job.name, vm.name);
    return nullptr;
  }
  candidate.last = last.value_or(RunRecord());
  return run;
}

bool Runs::put_run(const RunRecord& record) {
  try {
    m_session.state().put_run(record);
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::busy) {
      throw;
    }
    // Whoever has the vm now records what becomes of it.
    m_session.log().warning("job {}: vm {}: {}", record.job, record.vm_name, error.what());
    return false;
  }
}

// What was never held may have been run meanwhile by who has it, and that record is the better one.
bool Runs::is_of_another(const Running& run) {
  const RunRecord& before = run.candidate.last;
  const auto now =
      m_session.state().find_run(run.record.job, run.record.platform, run.record.vm_id);
  const auto lease = m_session.state().leases().find_lease({run.record.platform, run.record.vm_id});
  return (now && now->run_id != before.run_id) || (lease && lease->left.count() > 0);
}

void Runs::take_ended(PassTotals& totals) {
  for (auto at = m_running.begin(); at != m_running.end();) {
    if (!(*at)->ended) {
      ++at;
      continue;
    }
    (*at)->thread.join();
    m_free_disks += (*at)->disks;
    conclude(**at, totals);
    m_unrecorded.push_back(std::move(*at));
    at = m_running.erase(at);
  }
}

void Runs::record_ended(PassTotals& totals) {
  while (!m_unrecorded.empty()) {
    try {
      record_end(*m_unrecorded.front());
    } catch (const Error& error) {
      if (error.transient() || is_stop(error)) {
        outlast(error);
        return;
      }
      give_up_record(*m_unrecorded.front(), error, totals);
    }
    m_unrecorded.pop_front();
  }
}

void Runs::give_up_record(const Running& run, const Error& error, PassTotals& totals) {
  const int outcome = run.outcome.status;
  // What failed was counted when it ended.
  totals.failed += outcome == 0 ? 1 : 0;
  if (totals.first_failure == 0) {
    totals.first_failure = outcome != 0 ? outcome : static_cast<int>(exit_status(error));
  }
  m_session.log().error("job {}: vm {}: that its run is {}{} cannot be recorded: {}",
                        run.record.job, run.record.vm_name, run.record.state,
                        run.outcome.error.empty() ? std::string() : " (" + run.outcome.error + ")",
                        error.what());
}

void Runs::conclude(Running& run, PassTotals& totals) {
  const period::VmOutcome& outcome = run.outcome;
  const auto now = system_clock().wall();
  run.took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - run.begin);
  RunRecord& record = run.record;
  record.ended = rfc3339(now);
  if (outcome.status == 0) {
    ++totals.done;
    record.state = period::k_done;
    record.last_success = record.started;
    record.mode = outcome.mode;
    record.bytes = outcome.bytes;
    record.duration_ms = static_cast<std::uint64_t>(run.took.count());
    record.failures = 0;
    record.last_error.clear();
  } else if (outcome.interrupted) {
    record.state = period::k_interrupted;
    record.last_error = outcome.error;
  } else if (outcome.status == static_cast<int>(ExitStatus::busy)) {
    ++totals.busy;
    record.state = period::k_busy;
    record.last_error = outcome.error;
  } else {
    ++totals.failed;
    record.state = period::k_failed;
    ++record.failures;
    record.last_error = outcome.error;
  }
  if (outcome.status != 0 && totals.first_failure == 0) {
    totals.first_failure = outcome.status;
  }
  record.next_run = rfc3339(judge(run.task.job, &record, now).when);
}

void Runs::record_end(Running& run) {
  const period::VmOutcome& outcome = run.outcome;
  const RunRecord& record = run.record;
  if (!run.task_ended) {
    m_tasks.end(run.candidate, record, outcome);
    run.task_ended = true;
  }
  if (run.lock || !is_of_another(run)) {
    put_run(record);
  }
  const std::string text =
      fmt::format("run ends after {:.1f} s: {}{}; the next one is due at {}",
                  static_cast<double>(run.took.count()) / 1000.0, record.state,
                  outcome.error.empty() ? std::string() : ": " + outcome.error, record.next_run);
  const LogLevel level = record.state == period::k_failed ? LogLevel::error : LogLevel::info;
  if (run.log) {
    run.log->log(level, text);
  }
  m_session.log().log(level, fmt::format("job {}: vm {} {}", record.job, record.vm_name, text));
}

}  // namespace hamal
