// Child processes without a shell.
#pragma once
#include <string>
#include <vector>

namespace hamal {

struct ProcessResult {
  int exit_code = 0;  ///< 128 + signal when it was killed
  std::string stdout_text;
  std::string stderr_text;
};

/// Runs argv[0] from PATH and waits; both outputs are captured (16 MiB at most each). Throws Error
/// when it cannot be started.
ProcessResult run_process(const std::vector<std::string>& argv);

}  // namespace hamal
