// The console's tasks: fetched, judged, begun once, their results kept until they are delivered.
//
//   fetched ─► not what is configured here ─► over (refused)
//          └─► waits, nothing is known of it ─► begun, in the state, before the run ─► over
//                                                 └─ this process dies ─► over (interrupted)
//
// The state knows a task for good once it was begun or refused: delivered again, it is nothing new.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/session.hpp"
#include "hamal-period/candidates.hpp"
#include "hamal-period/task_reporter.hpp"
#include "hamal/mass/console.hpp"
#include "hamal/period/vm_run.hpp"
#include "hamal/util/file_lock.hpp"

namespace hamal {

/// Without a console it does nothing. Of several processes only the first deals with tasks. Not
/// thread-safe, but for what progress_of() returns.
class Tasks {
 public:
  Tasks(const PeriodRequest& request, Session& session);
  ~Tasks();

  /// Delivers results, ends what a dead process began, and asks for tasks. A console that cannot be
  /// asked is a warning.
  std::vector<Candidate> fetch();
  /// As many results as the console takes now, in order.
  void deliver();

  /// The mark before the run; false: it must not be run.
  bool begin(const Candidate& candidate, const RunRecord& record);
  /// Nothing for a candidate that is no task.
  void end(const Candidate& candidate, const RunRecord& record, const period::VmOutcome& outcome);
  /// Empty for a candidate that is no task.
  std::function<void(const period::RunProgress&)> progress_of(const Candidate& candidate);

 private:
  bool ready();
  void prune();
  void end_what_died();
  std::optional<Candidate> judge(const mass::Task& task, mass::TaskList& list);
  Candidate candidate_for(const mass::Task& task);
  void refuse(const std::string& id, const std::string& reason);
  void record(const std::string& id, const mass::TaskResult& result);
  std::chrono::milliseconds patience() const;

  Session& m_session;
  std::unique_ptr<mass::Console> m_console;  ///< null: there is none for this pass
  std::unique_ptr<TaskReporter> m_reporter;
  std::optional<FileLock> m_lock;
  std::set<std::string> m_running;  ///< ids
  std::optional<std::chrono::steady_clock::time_point> m_pruned;
};

}  // namespace hamal
