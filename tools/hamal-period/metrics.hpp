// --metrics-file: what became of every vm, for the node exporter's textfile collector.
#pragma once
#include "common/session.hpp"
#include "hamal-period/options.hpp"

namespace hamal {

/// Without --metrics-file nothing. A file that cannot be written is a warning.
void write_metrics(const PeriodRequest& request, Session& session);

}  // namespace hamal
