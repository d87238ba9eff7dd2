#include "hamal/platform/fusioncompute/task.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "hamal/platform/fusioncompute/vrm_reply.hpp"
#include "hamal/util/text.hpp"
#include "hamal/util/units.hpp"

namespace hamal::fusioncompute {
namespace {

constexpr int k_longest_pause_ms = 1000;

[[noreturn]] void give_up(const std::string& what, const std::string& problem, Patience patience) {
  const auto waited = std::chrono::duration_cast<std::chrono::seconds>(patience.timeout);
  throw TaskTimeout(
      ErrorKind::failed, fmt::format("{} after {}", problem, format_duration(waited)), what,
      fmt::format("see the vm's tasks in FusionCompute; [fusion_compute] {} says how long "
                  "to wait",
                  patience.key),
      Transience::transient);
}

}  // namespace

void Pause::sleep(const CancelToken& cancel) {
  cancel.sleep_ms(m_next_ms);
  m_next_ms = std::min(m_next_ms * 2, k_longest_pause_ms);
}

void wait_for_task(VrmClient& client, const std::string& task_uri, const std::string& what,
                   Patience patience) {
  Pause pause(patience.timeout);
  for (;;) {
    const TaskState state = parse_task(client.get(task_uri), "GET " + task_uri);
    if (state.status == "success") {
      return;
    }
    if (state.status == "failed") {
      throw VrmError(state.reason.empty() ? "no code" : state.reason, state.words, what);
    }
    if (state.status != "waiting" && state.status != "running" && state.status != "cancelling") {
      throw Error(ErrorKind::failed,
                  "the task is in a state that is not known: " + escape_control(state.status),
                  what);
    }
    if (pause.is_over()) {
      give_up(what, "the task has not ended", patience);
    }
    pause.sleep(client.cancel());
  }
}

void retry_conflicts(VrmClient& client, Logger& log, const std::string& what, Patience patience,
                     const std::function<void()>& work) {
  Pause pause(patience.timeout);
  for (bool told = false;; told = true) {
    try {
      work();
      return;
    } catch (const VrmError& error) {
      if (!error.is_conflict() && !error.is(VrmCode::snapshot_in_use)) {
        throw;
      }
      if (pause.is_over()) {
        throw;
      }
      if (!told) {
        log.warning("{} waits: {}", what, error.what());
      }
    }
    pause.sleep(client.cancel());
  }
}

}  // namespace hamal::fusioncompute
