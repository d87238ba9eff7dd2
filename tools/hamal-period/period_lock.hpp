// The lock by which one pass at a time runs a vm.
#pragma once
#include <string>

#include "common/session.hpp"
#include "hamal/util/file_lock.hpp"

namespace hamal {

/// Does not wait: throws Error(busy) while another pass, or a program that one has started, holds
/// the vm. `run_id` is what the next one to try is told.
FileLock lock_period(const Session& session, const std::string& platform, const std::string& vm_id,
                     const std::string& run_id);

}  // namespace hamal
