// Whether a tool works for a run of hamal-period, which has the vm from its snapshot to the end of
// that: what an earlier such run left is nobody's then.
#pragma once
#include <string>

#include "common/session.hpp"

namespace hamal {

/// The variable by which hamal-period hands the descriptor of the vm's period lock to its children.
inline constexpr const char* k_period_lock_variable = "HAMAL_PERIOD_LOCK";

/// "HAMAL_PERIOD_LOCK=FD".
std::string period_lock_environment(int fd);
/// Whether the lock that was handed down is there and is this vm's.
bool is_period_run(const Session& session, const std::string& platform, const std::string& vm_id);

}  // namespace hamal
