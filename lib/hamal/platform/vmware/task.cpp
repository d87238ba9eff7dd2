#include "hamal/platform/vmware/task.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "hamal/platform/vmware/properties.hpp"
#include "hamal/util/units.hpp"

namespace hamal::vmware {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int k_first_pause_ms = 50;
constexpr int k_longest_pause_ms = 1000;

/// Sleeps longer each time.
class Pause {
 public:
  explicit Pause(std::chrono::milliseconds timeout) : m_end(Clock::now() + timeout) {}
  bool is_over() const { return Clock::now() >= m_end; }
  void sleep(const CancelToken& cancel) {
    cancel.sleep_ms(m_next);
    m_next = std::min(m_next * 2, k_longest_pause_ms);
  }

 private:
  Clock::time_point m_end;
  int m_next = k_first_pause_ms;
};

}  // namespace

ManagedObject wait_for_task(VimClient& client, const ManagedObject& task, const std::string& what,
                            std::chrono::milliseconds timeout) {
  Pause pause(timeout);
  for (;;) {
    const ObjectProperties info =
        retrieve(client, task, {"info.state", "info.error", "info.result"});
    const std::string state = info.text("info.state");
    if (state == "success") {
      const XmlElement* const result = info.find("info.result");
      return result == nullptr ? ManagedObject() : result->reference();
    }
    if (state == "error") {
      const XmlElement* const error = info.find("info.error");
      throw fault_of(error == nullptr ? XmlElement() : *error, what);
    }
    if (pause.is_over()) {
      throw Error(
          ErrorKind::failed,
          fmt::format("the task has not ended after {}",
                      format_duration(std::chrono::duration_cast<std::chrono::seconds>(timeout))),
          what, "see the vm's tasks in vCenter; task_timeout says how long to wait",
          Transience::transient);
    }
    pause.sleep(client.cancel());
  }
}

ManagedObject task_of(const XmlElement& reply, const std::string& what) {
  const XmlElement* const task = reply.find("returnval");
  if (task == nullptr || task->text.empty()) {
    throw Error(ErrorKind::failed, "the server started no task", what);
  }
  return task->reference();
}

ManagedObject run_task(VimClient& client, const VimRequest& request, Repeat repeat,
                       const std::string& what, std::chrono::milliseconds timeout) {
  Pause pause(timeout);
  for (;;) {
    try {
      return wait_for_task(client, task_of(client.call(request, repeat), what), what, timeout);
    } catch (const VimFault& fault) {
      // Nothing was done: this may be said by the call as well as by its task.
      if (fault.fault() != "TaskInProgress" || pause.is_over()) {
        throw;
      }
    }
    pause.sleep(client.cancel());
  }
}

}  // namespace hamal::vmware
