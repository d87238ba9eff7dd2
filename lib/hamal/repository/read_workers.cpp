#include "hamal/repository/read_workers.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

/// What is taken together at most.
constexpr std::uint64_t k_longest_batch = 4U << 20;

/// Some threads wait for the store while others decode.
unsigned thread_count() {
  return std::clamp(2 * std::thread::hardware_concurrency(), 8U, 16U);
}

}  // namespace

FinishedReads::FinishedReads() : m_event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!m_event) {
    throw system_error("cannot make an eventfd", "", errno);
  }
}

void FinishedReads::add(IoCompletion& done, std::exception_ptr error) {
  const std::lock_guard lock(m_mutex);
  m_finished.push_back({&done, std::move(error)});
  if (m_finished.size() == 1) {
    const std::uint64_t one = 1;
    // Cannot fail: the counter is 0 or 1.
    [[maybe_unused]] const ssize_t put = ::write(m_event.get(), &one, sizeof one);
  }
}

void FinishedReads::deliver() {
  std::vector<Finished> finished;
  {
    const std::lock_guard lock(m_mutex);
    if (m_finished.empty()) {
      return;
    }
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(m_event.get(), &count, sizeof count);
    finished.swap(m_finished);
  }
  for (Finished& one : finished) {
    one.done->io_done(std::move(one.error));
  }
}

ReadWorkers::ReadWorkers(Repository& repository, const LayerStack& layers, PackReader& packs,
                         const std::string& name)
    : m_repository(repository), m_packs(packs), m_name(name), m_streams(layers) {
  const unsigned count = thread_count();
  m_threads.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    m_threads.emplace_back([this] { work(); });
  }
}

ReadWorkers::~ReadWorkers() {
  {
    const std::lock_guard lock(m_mutex);
    m_stop = true;
  }
  m_wanted.notify_all();
  for (std::thread& thread : m_threads) {
    thread.join();
  }
}

void ReadWorkers::submit(FinishedReads& to, std::uint64_t offset, std::span<std::byte> into,
                         IoCompletion& done) {
  {
    const std::lock_guard lock(m_mutex);
    m_tasks.push_back({&to, {offset, into}, &done});
  }
  m_wanted.notify_one();
}

void ReadWorkers::withdraw(const FinishedReads& from) {
  std::unique_lock lock(m_mutex);
  std::erase_if(m_tasks, [&](const Task& task) { return task.to == &from; });
  m_ended.wait(
      lock, [&] { return std::find(m_served.begin(), m_served.end(), &from) == m_served.end(); });
}

std::vector<ReadWorkers::Task> ReadWorkers::take(std::unique_lock<std::mutex>& lock) {
  m_wanted.wait(lock, [this] { return m_stop || !m_tasks.empty(); });
  std::vector<Task> taken;
  if (m_stop) {
    return taken;
  }
  const std::size_t most = 1 + m_tasks.size() / m_threads.size();
  std::uint64_t bytes = 0;
  while (!m_tasks.empty() && taken.size() < most) {
    const Task& next = m_tasks.front();
    bytes += next.range.into.size();
    if (!taken.empty() &&
        (taken.back().range.end() != next.range.offset || bytes > k_longest_batch)) {
      break;
    }
    m_served.push_back(next.to);
    taken.push_back(next);
    m_tasks.pop_front();
  }
  return taken;
}

void ReadWorkers::work() {
  RangeReader reader(m_repository, m_packs, m_name);
  std::vector<LayerEntry> entries;
  for (;;) {
    std::vector<Task> tasks;
    std::exception_ptr error;
    entries.clear();
    {
      // Looked up in the order in which they are taken: then the cursors only move on.
      const std::lock_guard in_order(m_index_mutex);
      {
        std::unique_lock lock(m_mutex);
        tasks = take(lock);
      }
      if (tasks.empty()) {
        return;
      }
      try {
        for (const Task& task : tasks) {
          m_streams.entries(task.range.offset, task.range.end(), entries);
        }
      } catch (...) {
        error = std::current_exception();
      }
    }
    serve(reader, tasks, error, entries);
  }
}

void ReadWorkers::serve(RangeReader& reader, const std::vector<Task>& tasks,
                        const std::exception_ptr& error, const std::vector<LayerEntry>& entries) {
  std::vector<std::exception_ptr> errors(tasks.size(), error);
  std::vector<WantedRange> ranges;
  ranges.reserve(tasks.size());
  for (const Task& task : tasks) {
    ranges.push_back(task.range);
  }
  if (!error) {
    try {
      reader.read(ranges, entries);
    } catch (...) {
      errors.assign(tasks.size(), std::current_exception());
    }
  }
  if (!error && errors.front() && tasks.size() > 1) {
    // One bad record must not fail its neighbours: each alone.
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      std::vector<LayerEntry> own;
      std::copy_if(
          entries.begin(), entries.end(), std::back_inserter(own), [&](const LayerEntry& entry) {
            return entry.extent.offset >= ranges[i].offset && entry.extent.offset < ranges[i].end();
          });
      errors[i] = nullptr;
      try {
        reader.read({ranges[i]}, own);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  }
  const std::lock_guard lock(m_mutex);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    // Handed over, not shared: whoever is told has it alone.
    tasks[i].to->add(*tasks[i].done, std::move(errors[i]));
    m_served.erase(std::find(m_served.begin(), m_served.end(), tasks[i].to));
  }
  m_ended.notify_all();
}

}  // namespace hamal::repository
