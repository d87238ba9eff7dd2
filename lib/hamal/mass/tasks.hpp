// Tasks from the console: foreign input, each parsed strictly and by itself.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hamal::mass {

struct Task {
  std::string id;
  std::string platform;  ///< NAME
  std::string vm;        ///< id or name
  std::string target;
  std::string quiesce;                                           ///< empty: as the job has it
  std::optional<std::chrono::system_clock::time_point> expires;  ///< by the console's clock
};

/// A task, or why it is none that can be run.
struct TaskEntry {
  std::string id;
  std::optional<Task> task;
  std::string problem;  ///< empty when there is a task
};

struct TaskList {
  std::chrono::system_clock::time_point server_time;
  std::vector<TaskEntry> entries;  ///< in the order they are to be begun in; each id once
  /// What has no id by which it could be refused.
  std::vector<std::string> nameless;
};

/// Throws Error(failed) when the reply as a whole is wrong; one wrong task spoils no other. A field
/// that is not known is a reason to refuse its task: who knows what it would have meant.
TaskList parse_tasks(std::string_view body);

}  // namespace hamal::mass
