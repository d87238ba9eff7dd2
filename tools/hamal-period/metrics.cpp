#include "hamal-period/metrics.hpp"

#include <functional>
#include <optional>

#include "hamal/period/schedule.hpp"
#include "hamal/report/metrics_text.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

constexpr unsigned k_mode = 0644;  // the exporter is another user

double since_epoch(std::chrono::system_clock::time_point when) {
  return std::chrono::duration<double>(when.time_since_epoch()).count();
}

using Value = std::function<std::optional<double>(const RunRecord&)>;

struct Family {
  const char* name;
  const char* help;
  Value value;
};

std::optional<double> time_of(const std::string& text) {
  const auto when = parse_rfc3339(text);
  return when ? std::optional(since_epoch(*when)) : std::nullopt;
}

std::optional<double> of_success(const RunRecord& run, double value) {
  return run.last_success.empty() ? std::nullopt : std::optional(value);
}

const std::vector<Family>& families() {
  static const std::vector<Family> all{
      {"hamal_period_last_success_timestamp_seconds", "When the last run that was committed began.",
       [](const RunRecord& run) { return time_of(run.last_success); }},
      {"hamal_period_last_success_bytes", "What that run read.",
       [](const RunRecord& run) { return of_success(run, static_cast<double>(run.bytes)); }},
      {"hamal_period_last_success_duration_seconds", "How long that run took.",
       [](const RunRecord& run) {
         return of_success(run, static_cast<double>(run.duration_ms) / 1000.0);
       }},
      {"hamal_period_last_success_full", "1 when a disk of that run was copied in full.",
       [](const RunRecord& run) { return of_success(run, run.mode.starts_with("full") ? 1 : 0); }},
      {"hamal_period_failures", "Runs that failed since then.",
       [](const RunRecord& run) { return std::optional(static_cast<double>(run.failures)); }},
      {"hamal_period_next_run_timestamp_seconds", "When it is due next.",
       [](const RunRecord& run) { return time_of(run.next_run); }},
  };
  return all;
}

}  // namespace

void write_metrics(const PeriodRequest& request, Session& session) {
  if (request.metrics_file.empty()) {
    return;
  }
  try {
    std::vector<MetricFamily> written;
    const auto runs = session.state().list_runs();
    for (const Family& family : families()) {
      MetricFamily made{family.name, family.help, {}};
      for (const RunRecord& run : runs) {
        if (const auto value = family.value(run)) {
          made.samples.push_back({{{"job", run.job},
                                   {"platform", run.platform},
                                   {"vm", run.vm_name},
                                   {"vm_id", run.vm_id}},
                                  *value});
        }
      }
      written.push_back(std::move(made));
    }
    written.push_back({"hamal_period_pass_timestamp_seconds",
                       "When the last pass ended.",
                       {{{}, since_epoch(system_clock().wall())}}});
    write_file_atomically(request.metrics_file, metrics_text(written), k_mode);
  } catch (const Error& error) {
    session.log().warning("no metrics: {}", error.what());
  }
}

}  // namespace hamal
