// What this proxy has to tell the console of itself.
#pragma once
#include <optional>

#include "common/session.hpp"
#include "hamal/mass/messages.hpp"

namespace hamal {

/// Without public addresses.
mass::Registration registration_of(Session& session);
mass::Heartbeat heartbeat_of(Session& session, std::optional<std::int64_t> clock_skew);

}  // namespace hamal
