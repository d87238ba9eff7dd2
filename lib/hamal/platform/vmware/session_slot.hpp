// How many sessions at one server the processes of this proxy have at once.
#pragma once
#include <chrono>
#include <string>

#include "hamal/util/cancel.hpp"
#include "hamal/util/file_lock.hpp"

namespace hamal::vmware {

struct SessionLimit {
  std::string lib_dir;  ///< hamal_lib_dir; empty: there is no limit
  unsigned most = 0;
  std::chrono::milliseconds wait{0};
};

/// Free again when it is destroyed, or its process ends. Waits for one; throws Error(busy) when
/// none became free in time, and as CancelToken::check() when stopped.
FileLock take_session_slot(const SessionLimit& limit, const std::string& server,
                           const CancelToken& cancel);

}  // namespace hamal::vmware
