// Programs joined by pipes, without a shell: their lines, their end, and an end for them.
#pragma once
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/util/cancel.hpp"

namespace hamal::period {

struct ProcessPipe {
  std::vector<std::vector<std::string>> stages;  ///< the output of each is the next one's input
  std::vector<std::string> environment;          ///< "NAME=value", all of it
  /// The last one's standard output: this file, or lines like those of standard error, or the
  /// result.
  std::filesystem::path output_file;
  bool output_is_lines = false;
  /// Descriptors that all of them hold: locks, so that they outlive this process.
  std::vector<int> inherited;
  std::chrono::milliseconds timeout{0};     ///< 0: none
  std::chrono::milliseconds grace{60'000};  ///< from SIGTERM to SIGKILL
};

struct PipeResult {
  std::vector<int> statuses;  ///< 128 + signal for one that was killed
  std::string output;         ///< 16 MiB at most
  bool timed_out = false;
  int status() const { return statuses.empty() ? 1 : statuses.back(); }
};

/// A line of a program's standard error, without its end; called by the thread that runs the pipe.
using LineSink = std::function<void(const std::string& program, std::string_view line)>;

/// Runs them in a process group of their own, and waits for all. When `cancel` is requested, or the
/// time is up, the group gets SIGTERM, and SIGKILL after the grace; nothing of it is left then.
/// Throws Error when one cannot be started (the others are ended first); no program's status is an
/// error.
PipeResult run_pipe(const ProcessPipe& pipe, const LineSink& sink, const CancelToken& cancel);

}  // namespace hamal::period
