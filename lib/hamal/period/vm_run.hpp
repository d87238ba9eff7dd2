// One run of one vm: the hooks and the tools, one after the other, and what became of it.
//
//   document left by a run that was killed? ─► finish --failed
//   pre hook ─► create ─► read | sync ─► commit (repository) ─► finish --committed ─► prune ─► post
//   hook
//                  └──────── anything failed, or stopped ─────► finish --failed ────────────────┘
//
// The document lies in a file from create to finish: whoever is killed in between leaves it to the
// next run, which knows by it which snapshot has to be ended (one that an interrupted run goes on
// from stays held all the same; hamal-snapshot sees to that).
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "hamal/period/command_lines.hpp"
#include "hamal/period/sync_progress.hpp"
#include "hamal/report/log.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal::period {

struct VmTask {
  Job job;
  VmName vm;
  std::string why;  ///< it is due
  std::string run_id;
  CommandLines lines;
  std::vector<int> lock_fds;  ///< of the vm's locks: every program holds them
  /// By which the programs know those locks: "HAMAL_PERIOD_LOCK=…", "HAMAL_LEASE=…".
  std::vector<std::string> lock_variables = {};
  /// Called by the thread of the run; empty: nobody wants to know.
  std::function<void(const RunProgress&)> on_progress = {};
};

struct VmOutcome {
  int status = 0;  ///< exit status
  std::string error;
  std::string mode;
  std::uint64_t bytes = 0;
  bool interrupted = false;
};

/// Where the lines go: both are thread-safe.
struct RunLogs {
  Logger& vm;          ///< vm-NAME_Agent-UUID.log
  Logger& subprocess;  ///< hamal-period-subprocess.log
};

/// Never throws a hamal::Error: it is in the outcome then. Stopped by `cancel`, it ends the
/// programs and finishes the snapshot before it returns.
VmOutcome run_vm(const VmTask& task, const RunLogs& logs, const CancelToken& cancel);

}  // namespace hamal::period
