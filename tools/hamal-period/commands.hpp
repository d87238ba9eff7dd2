// The commands of hamal-period; each returns the exit status.
#pragma once
#include <string>
#include <vector>

#include "common/session.hpp"
#include "hamal-period/options.hpp"
#include "hamal/period/job.hpp"

namespace hamal {

int run_period(const PeriodRequest& request, Session& session);

int run_passes(const PeriodRequest& request, Session& session);
int run_status(const PeriodRequest& request, Session& session);
int run_export_state(const PeriodRequest& request, Session& session);
int run_import_state(const PeriodRequest& request, Session& session);
int run_reopen_state(Session& session);
int run_health(const PeriodRequest& request, Session& session);

/// The jobs that the request means. Throws Error(usage) for a name that is none, and when the
/// configuration has no job.
std::vector<period::Job> selected_jobs(const PeriodRequest& request, const Session& session);
/// Whether the request means this vm.
bool is_selected(const PeriodRequest& request, const std::string& vm_id,
                 const std::string& vm_name);

}  // namespace hamal
