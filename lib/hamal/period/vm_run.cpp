#include "hamal/period/vm_run.hpp"

#include <fmt/core.h>

#include <unistd.h>

#include <filesystem>

#include "hamal/period/process_pipe.hpp"
#include "hamal/period/sync_report.hpp"
#include "hamal/util/error.hpp"

namespace hamal::period {
namespace {

constexpr int k_busy_status = static_cast<int>(ExitStatus::busy);
constexpr std::chrono::seconds k_hook_grace{10};
// How long the end of a snapshot may take once we were told to stop.
constexpr std::chrono::seconds k_finish_when_stopped{60};

std::vector<std::string> inherited_environment(const std::string& run_id,
                                               const std::vector<std::string>& lock_variables) {
  std::vector<std::string> all = lock_variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    if (!text.starts_with("HAMAL_RUN_ID=") && !text.starts_with("HAMAL_LEASE=") &&
        !text.starts_with("HAMAL_PERIOD_LOCK=")) {
      all.push_back(text);
    }
  }
  all.push_back("HAMAL_RUN_ID=" + run_id);
  return all;
}

class VmRun {
 public:
  VmRun(const VmTask& task, const RunLogs& logs, const CancelToken& cancel)
      : m_task(task), m_logs(logs), m_cancel(cancel) {}

  VmOutcome run() {
    m_logs.vm.info("job {}: run begins: {}", m_task.job.name, m_task.why);
    try {
      if (finish_what_was_left()) {
        const bool prepared = hook("pre", m_task.job.hooks.before);
        if (prepared) {
          sync_once();
        }
        hook("post", m_task.job.hooks.after);
      }
    } catch (const Error& error) {
      fail(static_cast<int>(exit_status(error)), error.what());
    }
    m_outcome.interrupted =
        m_outcome.interrupted || (m_cancel.requested() && m_outcome.status != 0);
    return m_outcome;
  }

 private:
  void fail(int status, const std::string& error) {
    if (m_outcome.status == 0) {
      m_outcome.status = status;
      m_outcome.error = error;
    }
  }

  LineSink sink() {
    return [this](const std::string& program, std::string_view said) {
      std::string_view line = said;
      const auto progress = m_progress.take(said);
      if (progress) {
        line = *progress;
        tell(m_progress.sum());
      }
      m_logs.subprocess.info("job={} vm={} {}: {}", m_task.job.name,
                             m_task.vm.platform + ":" + m_task.vm.name, program, line);
      m_logs.vm.info(
          "{}", line.starts_with(program) ? std::string(line) : program + ": " + std::string(line));
      if (const auto at = line.find(": error: "); at != std::string_view::npos) {
        m_last_error = line.substr(at + 9);
      }
    };
  }

  void tell(const RunProgress& progress) {
    if (m_task.on_progress) {
      m_task.on_progress(progress);
    }
  }

  void enter(RunPhase phase) {
    RunProgress progress = m_progress.sum();
    progress.phase = phase;
    tell(progress);
  }

  PipeResult call(ProcessPipe pipe, const CancelToken& cancel) {
    m_last_error.clear();
    return run_pipe(pipe, sink(), cancel);
  }

  /// Our own tools, which work on the vm for as long as they live.
  PipeResult call_tools(ProcessPipe pipe, const CancelToken& cancel) {
    pipe.environment = inherited_environment(m_task.run_id, m_task.lock_variables);
    pipe.inherited = m_task.lock_fds;
    return call(std::move(pipe), cancel);
  }

  /// One program whose report is for the log.
  int call(const Argv& argv, const CancelToken& cancel) {
    ProcessPipe pipe;
    pipe.stages = {argv};
    return call_tools(std::move(pipe), cancel).status();
  }

  /// False, and failed, when `status` is not 0 or we were told to stop.
  bool passed(int status, const std::string& what) {
    if (m_cancel.requested()) {
      m_outcome.interrupted = true;
      fail(status != 0 ? status : static_cast<int>(ExitStatus::terminated), "stopped: " + what);
      return false;
    }
    if (status != 0) {
      fail(status, m_last_error.empty() ? fmt::format("{} ended with exit status {}", what, status)
                                        : m_last_error);
      return false;
    }
    return true;
  }

  bool finish_what_was_left() {
    std::error_code none;
    if (!std::filesystem::exists(m_task.lines.document, none)) {
      return true;
    }
    if (std::filesystem::file_size(m_task.lines.document, none) == 0) {
      std::filesystem::remove(m_task.lines.document, none);
      return true;
    }
    m_logs.vm.info("the last run was killed: its snapshot is finished as failed");
    const int status = call(m_task.lines.finish_failed, m_cancel);
    if (status == static_cast<int>(ExitStatus::usage)) {
      // Cut short, or of a vm that is no more: there is nothing to learn from it again.
      m_logs.vm.warning("the document that it left is of no use: {}", m_last_error);
    } else if (!passed(status, "hamal-snapshot finish")) {
      return false;
    }
    std::filesystem::remove(m_task.lines.document, none);
    return true;
  }

  void sync_once() {
    enter(RunPhase::snapshot);
    if (!create()) {
      return;
    }
    enter(RunPhase::copy);
    const bool synced = read_and_sync() && commit();
    enter(RunPhase::finish);
    finish(synced ? m_task.lines.finish_committed : m_task.lines.finish_failed);
    if (synced && m_outcome.status == 0) {
      prune();
    }
  }

  bool create() {
    ProcessPipe pipe;
    pipe.stages = {m_task.lines.create};
    pipe.output_file = m_task.lines.document;
    const int status = call_tools(std::move(pipe), m_cancel).status();
    if (status == 0) {
      // Also when we were told to stop meanwhile: now there is a snapshot.
      if (m_cancel.requested()) {
        passed(0, "before anything was read");
        finish(m_task.lines.finish_failed);
        return false;
      }
      return true;
    }
    std::error_code none;
    std::filesystem::remove(m_task.lines.document, none);
    return passed(status, "hamal-snapshot create");
  }

  bool read_and_sync() {
    ProcessPipe pipe;
    pipe.stages = {m_task.lines.read, m_task.lines.sync};
    const PipeResult result = call_tools(std::move(pipe), m_cancel);
    const SyncReport report = parse_sync_report(result.output);
    for (const std::string& disk : report.disks) {
      m_logs.vm.info("{}", disk);
    }
    m_outcome.mode = report.mode;
    m_outcome.bytes = report.read_bytes;
    if (!report.error.empty()) {
      m_last_error = report.error;
    }
    // Whatever came too late to stop it is committed.
    return result.status() == 0 || passed(result.status(), "hamal-sync");
  }

  bool commit() {
    if (m_task.lines.commit.empty()) {
      return true;
    }
    const int status = call(m_task.lines.commit, m_cancel);
    return status == 0 || passed(status, "hamal-repo commit");
  }

  void finish(const Argv& argv) {
    // Asked to stop, we still clean up; with a token of its own, and a bound.
    const CancelToken uninterrupted;
    ProcessPipe pipe;
    pipe.stages = {argv};
    if (m_cancel.requested()) {
      pipe.timeout = k_finish_when_stopped;
    }
    const int status = call_tools(std::move(pipe), uninterrupted).status();
    if (status == 0) {
      std::error_code none;
      std::filesystem::remove(m_task.lines.document, none);
      m_logs.vm.info("snapshot finished: {}", argv.back());
    } else {
      m_logs.vm.error("the snapshot was not finished; the next run does that: {}", m_last_error);
      fail(status, m_last_error.empty() ? "hamal-snapshot finish failed" : m_last_error);
    }
  }

  void prune() {
    if (m_task.lines.prune.empty() || m_cancel.requested()) {
      return;
    }
    const int status = call(m_task.lines.prune, m_cancel);
    if (status == k_busy_status) {
      m_logs.vm.info("what the dropped versions held is deleted later: other runs have not ended");
    } else if (status != 0) {
      m_logs.vm.warning("retention: hamal-repo prune ended with exit status {}: {}", status,
                        m_last_error);
    }
  }

  /// False when the run must not go on.
  bool hook(const std::string& which, const std::string& program) {
    const CancelToken uninterrupted;
    const bool last = which == "post";
    if (program.empty() || (!last && m_cancel.requested())) {
      return true;
    }
    m_logs.vm.info("{} hook {}", which, program);
    ProcessPipe pipe;
    pipe.stages = {{program}};
    pipe.output_is_lines = true;
    pipe.timeout = m_task.job.hooks.timeout;
    pipe.grace = k_hook_grace;
    pipe.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                        "LANG=C.UTF-8",
                        "HAMAL_HOOK=" + which,
                        "HAMAL_JOB=" + m_task.job.name,
                        "HAMAL_PLATFORM=" + m_task.vm.platform,
                        "HAMAL_VM=" + m_task.vm.name,
                        "HAMAL_VM_ID=" + m_task.vm.id,
                        "HAMAL_TARGET=" + m_task.job.target,
                        "HAMAL_RUN_ID=" + m_task.run_id,
                        "HAMAL_STATUS=" + (last ? std::to_string(m_outcome.status) : "")};
    std::string problem;
    try {
      // It inherits no locks: a daemon that it leaves behind would keep the vm busy.
      const PipeResult result = call(std::move(pipe), last ? uninterrupted : m_cancel);
      if (result.timed_out) {
        problem = "did not end in time";
      } else if (result.status() != 0) {
        problem = fmt::format("ended with exit status {}", result.status());
      }
    } catch (const Error& error) {
      problem = error.what();
    }
    if (!last && m_cancel.requested()) {
      return passed(1, "the pre hook");
    }
    if (problem.empty()) {
      return true;
    }
    const std::string message = fmt::format("the {} hook {} {}", which, program, problem);
    if (m_task.job.hooks.failure == HookFailure::is_warned_about) {
      m_logs.vm.warning("{}", message);
      return true;
    }
    m_logs.vm.error("{}", message);
    fail(1, message);
    return false;
  }

  const VmTask& m_task;
  const RunLogs& m_logs;
  const CancelToken& m_cancel;
  VmOutcome m_outcome;
  SyncProgress m_progress;
  std::string m_last_error;  ///< what the last call said
};

}  // namespace

VmOutcome run_vm(const VmTask& task, const RunLogs& logs, const CancelToken& cancel) {
  return VmRun(task, logs, cancel).run();
}

}  // namespace hamal::period
