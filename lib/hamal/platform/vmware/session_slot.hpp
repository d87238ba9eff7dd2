// How many sessions at one server the processes of this proxy have at once.
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "hamal/util/cancel.hpp"
#include "hamal/util/file_lock.hpp"

namespace hamal::vmware {

struct SessionLimit {
  std::string lib_dir;  ///< hamal_lib_dir; empty: there is no limit
  unsigned most = 0;
  std::chrono::milliseconds wait{0};
};

/// Free again when the last of its owners is gone, or their process ends. A slot that this process
/// has there already covers its further clients: they end what a run began, and a run that waited
/// for others' while it holds its own would wait for those that wait for it. Else waits for one;
/// throws Error(busy) when none became free in time, and as CancelToken::check() when stopped.
/// Thread-safe.
std::shared_ptr<FileLock> take_session_slot(const SessionLimit& limit, const std::string& server,
                                            const CancelToken& cancel);

}  // namespace hamal::vmware
