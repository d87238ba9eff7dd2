// One child process, started without a shell; what runs it further is util/subprocess.hpp
// (captured) or period/process_pipe.hpp (joined by pipes).
#pragma once
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "hamal/util/error.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal {

struct PipeEnds {
  UniqueFd read;
  UniqueFd write;
};

/// Both ends close on exec. Throws Error; `object` is what the pipe is for.
PipeEnds make_pipe(const std::string& object);

struct SpawnRequest {
  std::vector<std::string> argv;  ///< argv[0] is looked for in PATH
  int stdin_fd = -1;              ///< -1: /dev/null
  int stdout_fd = -1;
  int stderr_fd = -1;
  /// "NAME=value", all of it; nullopt: ours.
  std::optional<std::vector<std::string>> environment = std::nullopt;
  std::vector<int> inherited = {};                 ///< descriptors it keeps, under their numbers
  std::optional<pid_t> group = std::nullopt;       ///< its process group; 0: one of its own
  std::optional<Error> if_missing = std::nullopt;  ///< what to throw when the program is not there
};

struct SpawnedProcess {
  pid_t pid = -1;
  UniqueFd pidfd;  ///< readable once it has ended
};

/// Signals are for it as they are at login (we ignore SIGPIPE). The caller waits for it
/// (wait_for_exit). Throws Error when it cannot be started.
SpawnedProcess spawn_process(const SpawnRequest& request);

/// Its exit status; 128 + signal when it was killed. Throws Error.
int wait_for_exit(pid_t pid);

}  // namespace hamal
