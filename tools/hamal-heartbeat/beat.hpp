// The work of hamal-heartbeat.
#pragma once
#include "common/session.hpp"
#include "hamal-heartbeat/options.hpp"

namespace hamal {

/// Returns the exit status.
int run_heartbeat(const HeartbeatRequest& request, Session& session);

}  // namespace hamal
