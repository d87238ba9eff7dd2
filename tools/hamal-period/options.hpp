// What hamal-period was asked to do.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/common_options.hpp"

namespace hamal {

enum class PeriodCommand { run, status, health, export_state, import_state, reopen_state };

struct PeriodRequest {
  CommonOptions common;
  PeriodCommand command = PeriodCommand::run;
  bool loop = false;
  bool dry_run = false;
  bool now = false;                                  ///< due or not
  std::vector<std::string> jobs;                     ///< names; empty: all
  std::vector<std::string> vms;                      ///< ids, names or patterns; empty: all
  std::string metrics_file;                          ///< empty: none
  std::optional<std::chrono::milliseconds> max_age;  ///< health: of the last pass
  std::string file;                                  ///< state import: a path, or -
  std::string output;                                ///< state export: a path; empty: stdout
  bool force = false;                                ///< … and replace it
  bool moved = false;                                ///< … and close the state
  unsigned max_failures = 3;                         ///< health: of one vm, in a row
};

/// Touches no file. Throws HelpRequested or Error(usage).
PeriodRequest parse_period_options(int argc, const char* const* argv);

}  // namespace hamal
