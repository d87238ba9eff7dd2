#include "hamal-period/task_reporter.hpp"

#include <algorithm>

#include "hamal/util/error.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

// A console that hangs is not to keep the next news back for long.
constexpr std::chrono::milliseconds k_patience{10'000};

const char* word_of(period::RunPhase phase) {
  switch (phase) {
    case period::RunPhase::waiting:
      return "waiting";
    case period::RunPhase::snapshot:
      return "snapshot";
    case period::RunPhase::copy:
      return "copy";
    case period::RunPhase::finish:
      return "finish";
  }
  return "waiting";
}

}  // namespace

TaskReporter::TaskReporter(mass::Console& console, Logger& log, std::chrono::milliseconds period)
    : m_console(console), m_log(log), m_period(period), m_thread([this] { run(); }) {}

TaskReporter::~TaskReporter() {
  {
    const std::lock_guard lock(m_mutex);
    m_stop = true;
  }
  m_changed.notify_all();
  m_thread.join();
}

void TaskReporter::update(const std::string& task, const period::RunProgress& progress) {
  {
    const std::lock_guard lock(m_mutex);
    m_news[task] = progress;
  }
  m_changed.notify_all();
}

void TaskReporter::forget(const std::string& task) {
  const std::lock_guard lock(m_mutex);
  m_news.erase(task);
}

void TaskReporter::run() {
  std::unique_lock lock(m_mutex);
  while (!m_stop) {
    m_changed.wait(lock, [this] { return m_stop || !m_news.empty(); });
    while (!m_stop && !m_news.empty()) {
      const auto news = m_news.extract(m_news.begin());
      lock.unlock();
      send(news.key(), news.mapped());
      lock.lock();
    }
    m_changed.wait_for(lock, m_period, [this] { return m_stop; });
  }
}

void TaskReporter::send(const std::string& task, const period::RunProgress& progress) {
  try {
    m_console.put_progress(task,
                           {.updated = rfc3339(system_clock().wall()),
                            .phase = word_of(progress.phase),
                            .read_bytes = progress.read_bytes,
                            .total_bytes = progress.total_bytes},
                           std::max(k_patience, m_period));
  } catch (const Error& error) {
    m_log.debug("{}", error.what());
  }
}

}  // namespace hamal
