// Tasks of the server.
#pragma once
#include <chrono>
#include <string>

#include "hamal/platform/vmware/vim_client.hpp"

namespace hamal::vmware {

/// Waits for its end: the result's reference, empty when it has none. Throws the fault it failed
/// with; a transient Error after `timeout` (the task goes on then); as CancelToken::check() does.
/// `what` is what it does, for messages.
ManagedObject wait_for_task(VimClient& client, const ManagedObject& task, const std::string& what,
                            std::chrono::milliseconds timeout);

/// The task that a call started.
ManagedObject task_of(const XmlElement& reply, const std::string& what);

/// Starts a task and waits for it; while another task works on the vm, the call is made again.
ManagedObject run_task(VimClient& client, const VimRequest& request, Repeat repeat,
                       const std::string& what, std::chrono::milliseconds timeout);

}  // namespace hamal::vmware
