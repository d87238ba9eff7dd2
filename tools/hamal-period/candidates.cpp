#include "hamal-period/candidates.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>

#include "common/vm_lease.hpp"
#include "hamal-period/commands.hpp"
#include "hamal-period/other_proxies.hpp"
#include "hamal-period/period_lock.hpp"
#include "hamal/period/job_record.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

using period::Due;
using period::Job;

constexpr const char* k_gone =
    "the platform does not have it any more, or the job does not mean it";

/// For how long the failure of another proxy, that did not try again, is kept.
constexpr std::chrono::hours k_failure_memory{24};

class Collector {
 public:
  Collector(const PeriodRequest& request, Session& session, period::TimePoint now, bool record)
      : m_request(request),
        m_session(session),
        m_now(now),
        m_record(record),
        m_job_record(own_job_record(session)),
        m_runs(session.state().list_runs()) {
    for (const RunRecord& run : m_runs) {
      m_last.emplace(std::tie(run.job, run.platform, run.vm_id), &run);
    }
  }

  DueCandidates collect() {
    for (const Job& job : selected_jobs(m_request, m_session)) {
      if (nothing_to_ask(job)) {
        continue;
      }
      try {
        add_job(job);
      } catch (const Error& error) {
        m_session.cancel().check();
        job_failed(job, error);
      }
    }
    std::stable_sort(m_due.begin(), m_due.end(), [](const Candidate& a, const Candidate& b) {
      return a.job.priority != b.job.priority ? a.job.priority > b.job.priority
                                              : a.due.when < b.due.when;
    });
    return {std::move(m_due), m_failure, std::move(m_forsaken)};
  }

 private:
  const RunRecord* find(const Job& job, const std::string& vm_id) const {
    const auto found = m_last.find(std::tie(job.name, job.platform, vm_id));
    return found == m_last.end() ? nullptr : found->second;
  }

  /// A job that this proxy could not begin has a record without a vm; one for a single vm that is
  /// not due needs no look at its platform.
  bool nothing_to_ask(const Job& job) const {
    if (m_request.now) {
      return false;
    }
    if (const RunRecord* failed = find(job, m_job_record)) {
      return !judge(job, failed, m_now).now;
    }
    if (job.vm.find_first_of("*?") != std::string::npos) {
      return false;
    }
    return std::any_of(m_runs.begin(), m_runs.end(), [&](const RunRecord& run) {
      return run.job == job.name && run.platform == job.platform &&
             !period::is_job_record(run.vm_id) && job.matches(run.vm_id, run.vm_name) &&
             !judge(job, &run, m_now).now;
    });
  }

  const std::vector<Vm>& vms_of(const std::string& platform) {
    const auto known = m_vms.find(platform);
    if (known != m_vms.end()) {
      return known->second;
    }
    return m_vms[platform] = m_session.open_platform(platform, Marking::unneeded)->vms();
  }

  void add_job(const Job& job) {
    bool any = false;
    for (const Vm& vm : vms_of(job.platform)) {
      if (!job.matches(vm.id, vm.name)) {
        continue;
      }
      any = true;
      if (is_selected(m_request, vm.id, vm.name)) {
        add_vm(job, vm);
      }
    }
    if (!any) {
      throw Error(ErrorKind::usage, "the platform has no vm that job " + job.name + " means",
                  job.platform + ":" + job.vm,
                  "`hamal-snapshot vms " + job.platform + "` lists those it has");
    }
    if (m_record) {
      forget_gone(job);
    }
  }

  void add_vm(const Job& job, const Vm& vm) {
    Candidate candidate;
    candidate.job = job;
    candidate.vm = {.platform = job.platform, .id = vm.id, .name = vm.name};
    candidate.disks = protectable_disks(vm);
    const RunRecord* last = find(job, vm.id);
    if (last != nullptr) {
      candidate.last = *last;
    }
    candidate.due = judge(job, last, m_now);
    if (m_request.now) {
      candidate.due = {.now = true, .when = m_now, .reason = "it was asked for"};
      candidate.asked = true;
    }
    if (candidate.due.now && !candidate.asked) {
      if (!m_others) {
        m_others.emplace(m_session);
      }
      if (const std::string proxy = m_others->writer_of(job, vm.id, vm.disks); !proxy.empty()) {
        m_session.log().debug("job {}: vm {} is {}", job.name, vm.name, left_to(proxy));
        if (last != nullptr &&
            is_forsaken(m_session, job, *last, m_now, patience_with_others(m_session.config()))) {
          m_forsaken[proxy].push_back(fmt::format("job {}: vm {}", job.name, vm.name));
        }
        return;
      }
    }
    if (candidate.due.now) {
      m_due.push_back(std::move(candidate));
    }
  }

  /// The job can be begun again; what its vms were that the platform does not have any more.
  void forget_gone(const Job& job) {
    for (const RunRecord& run : m_runs) {
      if (run.job != job.name || run.platform != job.platform) {
        continue;
      }
      if (period::is_job_record(run.vm_id)) {
        forget_failure(run);
        continue;
      }
      const auto& vms = vms_of(job.platform);
      const bool there = std::any_of(vms.begin(), vms.end(), [&](const Vm& vm) {
        return vm.id == run.vm_id && job.matches(vm.id, vm.name);
      });
      if (!there && (run.last_success.empty() || run.last_error != k_gone)) {
        forget_vm(job, run);
      }
    }
  }

  /// Under its locks, and only what is still as we found it: another pass, or another proxy whose
  /// platform shows it, may be running the vm.
  void forget_vm(const Job& job, const RunRecord& found) {
    try {
      const FileLock lock = lock_period(m_session, found.platform, found.vm_id, m_session.run_id());
      const auto lease = lease_vm(m_session, {found.platform, found.vm_id},
                                  std::chrono::milliseconds(0), m_session.cancel());
      auto run = m_session.state().find_run(job.name, found.platform, found.vm_id);
      if (!run || run->run_id != found.run_id || run->state != found.state) {
        return;
      }
      if (run->last_success.empty()) {
        m_session.state().remove_run(*run);
        return;
      }
      m_session.log().warning("job {}: vm {}: {}", job.name, run->vm_name, k_gone);
      run->last_error = k_gone;
      run->next_run.clear();
      m_session.state().put_run(*run);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::busy) {
        throw;
      }
      m_session.log().debug("job {}: vm {}: {}", job.name, found.vm_name, error.what());
    }
  }

  /// The job was begun here, which says nothing of other proxies; those that are gone are forgotten
  /// some time later, and what an older hamal wrote at once.
  void forget_failure(const RunRecord& run) {
    const auto next = parse_rfc3339(run.next_run);
    if (run.vm_id == m_job_record || run.vm_id.empty() || !next ||
        *next + k_failure_memory < m_now) {
      m_session.state().remove_run(run);
    }
  }

  void job_failed(const Job& job, const Error& error) {
    m_session.log().error("job {}: {}", job.name, error.what());
    if (!m_session.mirrored()) {
      fmt::print(stderr, "{}: warning: job {}: {}\n", m_session.tool(), job.name, error.what());
    }
    m_failure = m_failure == 0 ? static_cast<int>(exit_status(error)) : m_failure;
    if (!m_record) {
      return;
    }
    const RunRecord* before = find(job, m_job_record);
    RunRecord run;
    if (before != nullptr) {
      run = *before;
    }
    run.job = job.name;
    run.platform = job.platform;
    run.vm_id = m_job_record;
    run.vm_name = job.vm;
    run.state = period::k_failed;
    run.started = rfc3339(m_now);
    run.ended = rfc3339(m_now);
    run.last_error = m_job_record.empty()
                         ? std::string(error.what())
                         : fmt::format("proxy {}: {}", m_session.proxy_id(), error.what());
    ++run.failures;
    run.next_run = rfc3339(judge(job, &run, m_now).when);
    m_session.state().put_run(run);
  }

  const PeriodRequest& m_request;
  Session& m_session;
  period::TimePoint m_now;
  bool m_record;
  std::string m_job_record;
  std::vector<RunRecord> m_runs;
  // By job, platform and vm: thousands of vms each ask for theirs.
  std::map<std::tuple<std::string_view, std::string_view, std::string_view>, const RunRecord*>
      m_last;
  std::map<std::string, std::vector<Vm>> m_vms;
  std::optional<OtherProxies> m_others;
  std::map<std::string, std::vector<std::string>> m_forsaken;
  std::vector<Candidate> m_due;
  int m_failure = 0;
};

}  // namespace

unsigned protectable_disks(const Vm& vm) {
  const auto count = std::count_if(vm.disks.begin(), vm.disks.end(),
                                   [](const VmDisk& disk) { return disk.protectable; });
  return std::max(1U, static_cast<unsigned>(count));
}

std::string own_job_record(Session& session) {
  return period::job_record_id(session.state().shared() ? session.proxy_id() : std::string());
}

DueCandidates due_candidates(const PeriodRequest& request, Session& session, period::TimePoint now,
                             bool record) {
  return Collector(request, session, now, record).collect();
}

}  // namespace hamal
