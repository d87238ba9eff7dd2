// While a process works on a session it says so every minute: a prune round waits for the live ones
// and closes the slots of those that have been silent for a day.
#pragma once
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "hamal/report/log.hpp"
#include "hamal/repository/names.hpp"
#include "hamal/store/object_store.hpp"

namespace hamal::repository {

class Heartbeat {
 public:
  /// The first one at once, in the background; failures are logged.
  Heartbeat(ObjectStore& store, Logger& log, const SessionId& session);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  void run();

  ObjectStore& m_store;
  Logger& m_log;
  std::string m_key;
  std::mutex m_mutex;
  std::condition_variable m_changed;
  bool m_stop = false;
  std::jthread m_thread;  // last: it uses the others
};

}  // namespace hamal::repository
