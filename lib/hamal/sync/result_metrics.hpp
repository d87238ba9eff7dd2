// What a run of hamal-sync says to Prometheus (hamal-sync(1), METRICS).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "hamal/report/metrics_text.hpp"
#include "hamal/sync/result.hpp"

namespace hamal {

/// Of the whole run, also of one that ended before it knew its disks.
struct RunOutcome {
  /// Tells the files of one folder apart: two of them must not hold the same name with the same
  /// labels.
  std::string file;
  double ended = 0;    ///< seconds since 1970
  double seconds = 0;  ///< how long it took
  int exit_status = 0;
};

/// The families of a run that ended. `result` is empty when the run failed before it had one.
/// `previous` is what the file held: what is durably known of a disk (last success, generation)
/// comes from its checkpoint, and from there only when this run did not get as far as looking it
/// up; the disks of a run without a result are those of `previous`.
std::vector<MetricFamily> sync_metrics(const RunOutcome& run,
                                       const std::optional<SyncResult>& result,
                                       const std::vector<MetricFamily>& previous);

/// Seconds since 1970 of an RFC 3339 time in UTC, as checkpoints have it; nullopt: it is none.
std::optional<double> unix_seconds(const std::string& rfc3339);

}  // namespace hamal
