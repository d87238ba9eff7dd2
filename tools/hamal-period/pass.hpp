// A pass: starts what is due as long as disks are free, waits for what ends, writes what became of
// it.
#pragma once
#include <chrono>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/session.hpp"
#include "hamal-period/candidates.hpp"
#include "hamal-period/tasks.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file_lock.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal {

struct PassTotals {
  std::string started;  ///< RFC 3339
  std::string ended;
  unsigned due = 0;
  unsigned done = 0;
  unsigned failed = 0;
  unsigned busy = 0;
  int first_failure = 0;  ///< exit status
};

/// The command lines of a candidate with its share of the proxy, as of now. `due` are all that are.
period::CommandLines lines_of(const Candidate& candidate, const std::vector<Candidate>& due,
                              const Session& session, period::TimePoint now);

/// Runs in threads; the state is used by the caller's thread alone. Not thread-safe.
class Runs {
 public:
  /// `tasks` outlive it.
  Runs(Session& session, Tasks& tasks);
  /// Stops what still runs, as an interrupt would, and waits for it.
  ~Runs();
  Runs(const Runs&) = delete;
  Runs& operator=(const Runs&) = delete;

  /// Those that neither wait nor run already, behind those that wait.
  void add(std::vector<Candidate> due);
  /// Starts what can be, and takes what ended. Returns as soon as all have ended, an interrupt is
  /// requested (then, too, only when all have ended), or `until`.
  /// While a run goes on, and until `until`, a state that cannot be used for a time stops nothing:
  /// what it should know is kept and written as soon as it can be. Otherwise that is thrown; the
  /// next call tries again. A vm that cannot be started for another reason is a failed run, as is
  /// one that cannot be recorded: the others go on.
  void work(std::optional<std::chrono::steady_clock::time_point> until, PassTotals& totals);

 private:
  struct Running;

  void start_waiting(PassTotals& totals);
  /// Moves from the candidate, unless it throws.
  void start(Candidate& candidate, const std::string& run_id, period::CommandLines lines,
             PassTotals& totals);
  /// It has ended before it began: recorded as what has run.
  void fail_to_start(Candidate candidate, const std::string& run_id, const Error& error,
                     PassTotals& totals);
  /// Thread-safe.
  void tell_end() const;
  /// Null when the vm is another pass's or another proxy's, or no longer due.
  std::unique_ptr<Running> hold(Candidate& candidate, const std::string& run_id,
                                PassTotals& totals);
  /// False when the vm is not ours any more.
  bool put_run(const RunRecord& record);
  bool is_of_another(const Running& run);
  void take_ended(PassTotals& totals);
  /// What became of it, into its record.
  void conclude(Running& run, PassTotals& totals);
  /// All that have ended into the state. Throws what the state says when it is not waited for.
  void record_ended(PassTotals& totals);
  /// The state will never take it.
  void give_up_record(const Running& run, const Error& error, PassTotals& totals);
  void record_end(Running& run);
  /// Within a handler, whose error it throws again when that is not transient, or there is nothing
  /// to wait for.
  /// Else the log is told, once until the state can be used again.
  void outlast(const Error& error);
  /// Among what runs, and what has ended and is not recorded.
  template <typename Is>
  bool is_any_held(const Is& is) const;
  bool runs_now(const period::VmName& vm) const;
  void wait(int milliseconds);

  Session& m_session;
  Tasks& m_tasks;
  std::unique_ptr<Logger> m_subprocess_log;
  CancelToken m_cancel;  ///< of the runs
  UniqueFd m_ended;      ///< readable when a run has ended
  std::list<Candidate> m_waiting;
  std::list<std::unique_ptr<Running>> m_running;
  std::list<std::unique_ptr<Running>> m_unrecorded;  ///< ended; the vms are held until it is known
  bool m_outage = false;                             ///< of the state, at the last attempt
  bool m_outage_told = false;
  bool m_has_time = false;  ///< to wait for the state although nothing runs
  unsigned m_free_disks;
};

}  // namespace hamal
