// The commands of hamal-config.
#pragma once
#include "common/session.hpp"
#include "hamal-config/options.hpp"

namespace hamal {

/// Returns the exit status; a configuration that is wrong was refused when the session began.
int run_config(const ConfigRequest& request, Session& session);

}  // namespace hamal
