// What is due: decisions from a job, what became of its last run, and a time. Nothing is asked
// here.
//
//   never run                        at once
//   interrupted, or still "running"  at once: whoever ran it is dead when we have its lock
//   done                             interval: begin of the last run + interval
//                                    schedule: the first time after the begin of the last run
//   failed N times                   end + min(interval, 1 min) * 2^(N-1), an hour at most
//   busy                             end + min(interval, 1 min)
//
// So runs that were missed are made up for once. Outside of the job's windows nothing is due.
#pragma once
#include <optional>
#include <string>

#include "hamal/period/job.hpp"
#include "hamal/state/state.hpp"

namespace hamal::period {

/// States of RunRecord.
inline constexpr const char* k_running = "running";
inline constexpr const char* k_done = "done";
inline constexpr const char* k_failed = "failed";
inline constexpr const char* k_busy = "busy";
inline constexpr const char* k_interrupted = "interrupted";

struct Due {
  bool now = false;
  TimePoint when;      ///< the next run's time; not before `now` when it is not due
  std::string reason;  ///< for the log of the vm
};

/// `last` is null when there was no run.
Due judge(const Job& job, const RunRecord* last, TimePoint now);

}  // namespace hamal::period
