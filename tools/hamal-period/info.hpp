// hamal_info_path: what this proxy is and what its last pass did, as JSON for other programs.
#pragma once
#include <optional>
#include <string>

#include "common/session.hpp"
#include "hamal-period/pass.hpp"

namespace hamal {

/// Replaces the file. `started` of this process, RFC 3339. A file that cannot be written is a
/// warning.
void write_info(Session& session, const std::string& started, bool loop, const PassTotals& pass);

/// When the last pass ended, as the file says; nullopt when there is none. Throws Error when it
/// cannot be read.
std::optional<std::chrono::system_clock::time_point> last_pass_ended(const Session& session);

}  // namespace hamal
