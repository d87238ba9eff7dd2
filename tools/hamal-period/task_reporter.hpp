// Tells the console how far its tasks are, beside the runs: nothing waits for it.
#pragma once
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "hamal/mass/console.hpp"
#include "hamal/period/sync_progress.hpp"
#include "hamal/report/log.hpp"

namespace hamal {

/// Thread-safe. What changed is sent every `period`, each task's newest; what is lost is lost.
class TaskReporter {
 public:
  /// Console and log outlive it.
  TaskReporter(mass::Console& console, Logger& log, std::chrono::milliseconds period);
  ~TaskReporter();
  TaskReporter(const TaskReporter&) = delete;
  TaskReporter& operator=(const TaskReporter&) = delete;

  void update(const std::string& task, const period::RunProgress& progress);
  /// It is over: nothing more is said of it.
  void forget(const std::string& task);

 private:
  void run();
  void send(const std::string& task, const period::RunProgress& progress);

  mass::Console& m_console;
  Logger& m_log;
  const std::chrono::milliseconds m_period;
  std::mutex m_mutex;
  std::condition_variable m_changed;
  std::map<std::string, period::RunProgress> m_news;  ///< under m_mutex
  bool m_stop = false;                                ///< under m_mutex
  std::thread m_thread;
};

}  // namespace hamal
