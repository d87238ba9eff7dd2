#include "hamal/repository/heartbeat.hpp"

#include <chrono>

#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

constexpr std::chrono::seconds k_period{60};

}  // namespace

Heartbeat::Heartbeat(ObjectStore& store, Logger& log, const SessionId& session)
    : m_store(store), m_log(log), m_key(beat_key(session)), m_thread([this] { run(); }) {}

Heartbeat::~Heartbeat() {
  const std::lock_guard lock(m_mutex);
  m_stop = true;
  m_changed.notify_all();
}

void Heartbeat::run() {
  std::unique_lock lock(m_mutex);
  while (!m_stop) {
    lock.unlock();
    try {
      m_store.put(m_key, {});
    } catch (const Error& error) {
      m_log.warning("the session's heartbeat could not be written: {}", error.what());
    }
    lock.lock();
    m_changed.wait_for(lock, k_period, [this] { return m_stop; });
  }
}

}  // namespace hamal::repository
