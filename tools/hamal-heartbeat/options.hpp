// What hamal-heartbeat was asked to do.
#pragma once
#include "common/common_options.hpp"

namespace hamal {

struct HeartbeatRequest {
  CommonOptions common;
  bool loop = false;
  bool dry_run = false;
};

/// Touches no file. Throws HelpRequested or Error(usage).
HeartbeatRequest parse_heartbeat_options(int argc, const char* const* argv);

}  // namespace hamal
