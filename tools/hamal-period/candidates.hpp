// What a pass has to do: the vms of the jobs, asked of their platforms, and which of them are due.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "common/session.hpp"
#include "hamal-period/options.hpp"
#include "hamal/period/schedule.hpp"
#include "hamal/period/vm_run.hpp"

namespace hamal {

struct Candidate {
  period::Job job;
  std::string task = {};  ///< the console's id; empty: the job's schedule wants it
  period::VmName vm;
  unsigned disks = 1;
  period::Due due;
  bool begun = false;  ///< the task, as the state knows
  bool asked = false;  ///< by an operator or the console: whatever the schedule says
  /// Its `started` is empty when it was never run. Read again before the run (pass.hpp).
  RunRecord last;
};

struct DueCandidates {
  std::vector<Candidate> due;  ///< in the order they are to be started in
  int failure = 0;             ///< exit status of the first job whose platform could not be asked
  /// By proxy, the vms ("job NAME: vm NAME") that are left to it and that it should have synced
  /// long ago.
  std::map<std::string, std::vector<std::string>> forsaken = {};
};

/// At least 1.
unsigned protectable_disks(const Vm& vm);

/// The vm_id of this proxy's record of a job that it could not begin (period/job_record.hpp).
std::string own_job_record(Session& session);

/// A platform that cannot be asked fails its job alone, which backs off; with `record` that, and
/// vms that are gone, go into the state.
DueCandidates due_candidates(const PeriodRequest& request, Session& session, period::TimePoint now,
                             bool record);

}  // namespace hamal
