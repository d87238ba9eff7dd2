#include <algorithm>

#include "hamal-period/commands.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/nearest.hpp"

namespace hamal {

std::vector<period::Job> selected_jobs(const PeriodRequest& request, const Session& session) {
  std::vector<period::Job> jobs = period::jobs_of(session.config());
  if (jobs.empty()) {
    throw Error(ErrorKind::usage, "the configuration has no [job NAME] section",
                session.options().config_path, "hamal.conf(5) shows one");
  }
  std::vector<std::string> names;
  for (const period::Job& job : jobs) {
    names.push_back(job.name);
  }
  for (const std::string& wanted : request.jobs) {
    if (std::find(names.begin(), names.end(), wanted) == names.end()) {
      const std::string near = nearest_name(wanted, names);
      throw Error(ErrorKind::usage, "there is no such job", wanted,
                  near.empty() ? std::string() : "did you mean " + near + "?");
    }
  }
  if (!request.jobs.empty()) {
    std::erase_if(jobs, [&](const period::Job& job) {
      return std::find(request.jobs.begin(), request.jobs.end(), job.name) == request.jobs.end();
    });
  }
  return jobs;
}

bool is_selected(const PeriodRequest& request, const std::string& vm_id,
                 const std::string& vm_name) {
  return request.vms.empty() ||
         std::any_of(request.vms.begin(), request.vms.end(), [&](const std::string& wanted) {
           return wanted == vm_id || wanted == vm_name || period::matches_pattern(wanted, vm_id) ||
                  period::matches_pattern(wanted, vm_name);
         });
}

int run_period(const PeriodRequest& request, Session& session) {
  switch (request.command) {
    case PeriodCommand::run:
      return run_passes(request, session);
    case PeriodCommand::status:
      return run_status(request, session);
    case PeriodCommand::health:
      return run_health(request, session);
    case PeriodCommand::export_state:
      return run_export_state(request, session);
    case PeriodCommand::import_state:
      return run_import_state(request, session);
    case PeriodCommand::reopen_state:
      return run_reopen_state(session);
  }
  return 1;
}

}  // namespace hamal
