// Prometheus metrics in their text form (version 0.0.4): formatting and reading back, no files.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hamal {

/// Name and value, in the order they are printed in.
using MetricLabels = std::vector<std::pair<std::string, std::string>>;

struct MetricSample {
  MetricLabels labels;
  double value = 0;
};

/// What one name stands for. All are gauges: a run that ended says what it did, and nothing counts
/// on between two of them.
struct MetricFamily {
  std::string name;
  std::string help;
  std::vector<MetricSample> samples;
};

/// HELP, TYPE and the samples of each family; a family without samples is left out. Label values
/// are escaped, and what in them is not UTF-8 is replaced: one such byte makes the node exporter
/// refuse the whole file.
std::string metrics_text(const std::vector<MetricFamily>& families);

/// The samples of a text that metrics_text() wrote, families in order of appearance, without their
/// help. A line that is not understood is passed over: it is a report, not state.
std::vector<MetricFamily> parse_metrics_text(std::string_view text);

}  // namespace hamal
