// What we durably know of the console's tasks: those that were begun, and what was not told yet of
// those that ended (hamal-mass(5)).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace hamal {

/// A task that was begun. It is never begun again.
struct TaskRecord {
  std::string proxy;  ///< hyper_exporter_id
  std::string id;     ///< of the console
  std::string job;    ///< by whose settings it is run
  std::string platform;
  std::string vm_id;
  std::string vm_name;
  std::string run_id;
  std::string started;  ///< RFC 3339
};

/// The result of a task that the console does not have yet.
struct TaskReport {
  std::uint64_t number = 0;  ///< they are delivered in the order of these
  std::string proxy;
  std::string task;
  std::string key;   ///< the same for every attempt to deliver it
  std::string body;  ///< JSON
};

/// Every call is one transaction, durable on return. Part of State; the same rules.
class TaskState {
 public:
  virtual ~TaskState() = default;

  /// Whether it was begun, refused or ended before.
  virtual bool knows_task(const std::string& proxy, const std::string& id) = 0;
  /// The mark before the run. False, and nothing changed, when the task is known: it must not be
  /// run.
  virtual bool begin_task(const TaskRecord& task) = 0;
  /// The task is over, and this is to be told; `number` is given here. One that was not begun is
  /// known from here on, too. False, and nothing changed, when it is over already.
  virtual bool end_task(const TaskReport& report) = 0;
  /// Forgets what was over and told of before `before` (RFC 3339). How many there were.
  virtual std::uint64_t prune_tasks(const std::string& before) = 0;
  /// Begun and not over, the oldest first.
  virtual std::vector<TaskRecord> begun_tasks(const std::string& proxy) = 0;

  /// In the order they came about.
  virtual std::vector<TaskReport> undelivered_reports(const std::string& proxy) = 0;
  virtual void forget_report(const TaskReport& report) = 0;
};

}  // namespace hamal
