// status and health: what the state says of every vm, for people, scripts and a container's check.
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/output.hpp"
#include "common/table.hpp"
#include "hamal-period/candidates.hpp"
#include "hamal-period/commands.hpp"
#include "hamal-period/info.hpp"
#include "hamal-period/other_proxies.hpp"
#include "hamal/period/job_record.hpp"
#include "hamal/period/schedule.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/time.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::seconds;

constexpr std::size_t k_longest_error = 100;

struct Row {
  const period::Job* job = nullptr;
  RunRecord run;
  std::optional<seconds> age;  ///< of the last success
  /// The age is above the interval, or the schedule's time has passed.
  bool late = false;
  /// The proxy that the vm is left to; empty: it may be synced here.
  std::string writer = {};
};

std::vector<Row> rows_of(const PeriodRequest& request, Session& session,
                         const std::vector<period::Job>& jobs) {
  const auto now = system_clock().wall();
  const auto runs = session.state().list_runs();
  const OtherProxies others(session);
  std::vector<Row> rows;
  for (const period::Job& job : jobs) {
    const std::size_t before = rows.size();
    for (const RunRecord& run : runs) {
      if (run.job != job.name || run.platform != job.platform ||
          !is_selected(request, run.vm_id, run.vm_name)) {
        continue;
      }
      Row row{.job = &job, .run = run, .age = {}, .late = true};
      if (const auto success = parse_rfc3339(run.last_success)) {
        row.age = std::chrono::duration_cast<seconds>(now - *success);
        row.late = job.interval ? *row.age > *job.interval : job.schedule->next(*success) < now;
      }
      row.writer = others.writer_of(job, run.vm_id);
      rows.push_back(std::move(row));
    }
    if (rows.size() == before && request.vms.empty()) {
      RunRecord never;
      never.job = job.name;
      never.platform = job.platform;
      never.vm_name = job.vm;
      never.state = "never run";
      never.next_run = rfc3339(judge(job, nullptr, now).when);
      rows.push_back({.job = &job, .run = never, .age = {}, .late = true});
    }
  }
  return rows;
}

std::string shortened(const std::string& text) {
  return text.size() <= k_longest_error ? text : text.substr(0, k_longest_error) + "…";
}

/// Who is late and left to another proxy may be left to a dead one.
std::string error_of(const Row& row) {
  if (!row.late || row.writer.empty()) {
    return row.run.last_error;
  }
  return left_to(row.writer) + (row.run.last_error.empty() ? "" : "; " + row.run.last_error);
}

std::string table_of(const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> cells{{"VM", "JOB", "STATE", "LAST SUCCESS", "AGE", "OF",
                                               "MODE", "READ", "TOOK", "NEXT RUN", "FAILED",
                                               "LAST ERROR"}};
  for (const Row& row : rows) {
    const bool success = row.age.has_value();
    const std::string age = success ? format_duration(*row.age) + (row.late ? " LATE" : "") : "";
    const std::string of =
        row.job->interval ? format_duration(std::chrono::duration_cast<seconds>(*row.job->interval))
                          : "schedule";
    cells.push_back({row.run.platform + ":" + row.run.vm_name, row.run.job, row.run.state,
                     row.run.last_success.substr(0, 19), age, of, row.run.mode,
                     success ? format_size(row.run.bytes) : "",
                     success ? format_duration(seconds(row.run.duration_ms / 1000)) : "",
                     row.run.next_run.substr(0, 19), std::to_string(row.run.failures),
                     shortened(error_of(row))});
  }
  return format_table(cells);
}

Json or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

std::string json_of(const std::vector<Row>& rows) {
  Json list = Json::array();
  for (const Row& row : rows) {
    list.push_back({{"job", row.run.job},
                    {"platform", row.run.platform},
                    {"vm_id", period::is_job_record(row.run.vm_id) ? std::string() : row.run.vm_id},
                    {"vm_name", row.run.vm_name},
                    {"state", row.run.state},
                    {"run_id", or_null(row.run.run_id)},
                    {"started", or_null(row.run.started)},
                    {"ended", or_null(row.run.ended)},
                    {"last_success", or_null(row.run.last_success)},
                    {"age_seconds", row.age ? Json(row.age->count()) : Json(nullptr)},
                    {"interval_seconds",
                     row.job->interval ? Json(row.job->interval->count() / 1000) : Json(nullptr)},
                    {"late", row.late},
                    {"mode", or_null(row.run.mode)},
                    {"bytes", row.run.bytes},
                    {"seconds", static_cast<double>(row.run.duration_ms) / 1000.0},
                    {"failures", row.run.failures},
                    {"next_run", or_null(row.run.next_run)},
                    {"last_error", or_null(error_of(row))},
                    {"left_to", or_null(row.writer)}});
  }
  const Json all{{"format", "hamal-period-status"}, {"version", 1}, {"vms", list}};
  return all.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

int run_status(const PeriodRequest& request, Session& session) {
  const auto jobs = selected_jobs(request, session);
  const auto rows = rows_of(request, session, jobs);
  const bool json = session.options().format == ReportFormat::json;
  write_stdout(json ? json_of(rows) : table_of(rows), session.cancel());
  return 0;
}

int run_health(const PeriodRequest& request, Session& session) {
  const auto jobs = selected_jobs(request, session);
  const auto max_age = request.max_age.value_or(patience_with_others(session.config()));
  std::vector<std::string> problems;
  const auto ended = last_pass_ended(session);
  if (!ended) {
    problems.emplace_back("no pass has ended yet");
  } else if (const auto age = system_clock().wall() - *ended; age > max_age) {
    problems.push_back(fmt::format("the last pass ended {} ago",
                                   format_duration(std::chrono::duration_cast<seconds>(age))));
  }
  for (const Row& row : rows_of(request, session, jobs)) {
    // What another proxy cannot reach is for that one's health to say.
    const bool is_others =
        period::is_job_record(row.run.vm_id) && row.run.vm_id != own_job_record(session);
    if (row.run.failures > request.max_failures && !is_others) {
      problems.push_back(fmt::format("job {}: vm {} failed {} times: {}", row.run.job,
                                     row.run.vm_name, row.run.failures, row.run.last_error));
    }
    if (!row.writer.empty() &&
        is_forsaken(session, *row.job, row.run, system_clock().wall(), max_age)) {
      problems.push_back(fmt::format("job {}: vm {} is late, and {}", row.run.job, row.run.vm_name,
                                     left_to(row.writer)));
    }
  }
  std::string text;
  for (const std::string& problem : problems) {
    text += problem + "\n";
  }
  if (session.options().format == ReportFormat::json) {
    const Json report{{"healthy", problems.empty()}, {"problems", problems}};
    text = report.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  } else if (problems.empty()) {
    text = "healthy\n";
  }
  write_stdout(text, session.cancel());
  return problems.empty() ? 0 : 1;
}

}  // namespace hamal
