// Tasks of a VRM.
#pragma once
#include <chrono>
#include <functional>
#include <string>

#include "hamal/platform/fusioncompute/vrm_client.hpp"
#include "hamal/platform/fusioncompute/vrm_error.hpp"
#include "hamal/report/log.hpp"

namespace hamal::fusioncompute {

/// How long something is waited for, and the key that says so.
struct Patience {
  std::chrono::milliseconds timeout;
  const char* key;
};

/// The task goes on: nobody waits for it any more.
class TaskTimeout final : public Error {
 public:
  using Error::Error;
};

/// Sleeps longer each time, up to a second.
class Pause {
 public:
  explicit Pause(std::chrono::milliseconds timeout)
      : m_end(std::chrono::steady_clock::now() + timeout) {}
  bool is_over() const { return std::chrono::steady_clock::now() >= m_end; }
  void sleep(const CancelToken& cancel);

 private:
  std::chrono::steady_clock::time_point m_end;
  int m_next_ms = 50;
};

/// Waits for its end. Throws the VrmError it failed with; TaskTimeout, which is transient, when it
/// does not end in time; as CancelToken::check() does. `what` is what it does, for messages.
void wait_for_task(VrmClient& client, const std::string& task_uri, const std::string& what,
                   Patience patience);

/// Calls `work` again while the server says that another task, a snapshot in the making or a backup
/// resource is in the way.
void retry_conflicts(VrmClient& client, Logger& log, const std::string& what, Patience patience,
                     const std::function<void()>& work);

}  // namespace hamal::fusioncompute
