// The threads of a version's reader. Requests of all queues are served in the order they came;
// those that go on where the one before ends are taken together when more wait than there are
// threads, so that their records come in one request to the store.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "hamal/block/io_queue.hpp"
#include "hamal/repository/entry_streams.hpp"
#include "hamal/repository/pack_reader.hpp"
#include "hamal/repository/range_reader.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal::repository {

/// Where a queue's finished requests wait for its thread.
class FinishedReads {
 public:
  FinishedReads();
  int poll_fd() const noexcept { return m_event.get(); }
  void add(IoCompletion& done, std::exception_ptr error);
  /// Calls the completions, in the calling thread.
  void deliver();

 private:
  struct Finished {
    IoCompletion* done;
    std::exception_ptr error;
  };
  UniqueFd m_event;
  std::mutex m_mutex;
  std::vector<Finished> m_finished;
};

class ReadWorkers {
 public:
  /// All outlive it.
  ReadWorkers(Repository& repository, const LayerStack& layers, PackReader& packs,
              const std::string& name);
  ~ReadWorkers();
  ReadWorkers(const ReadWorkers&) = delete;
  ReadWorkers& operator=(const ReadWorkers&) = delete;

  void submit(FinishedReads& to, std::uint64_t offset, std::span<std::byte> into,
              IoCompletion& done);
  /// On return no request of `from` is served any more, and none will be told.
  void withdraw(const FinishedReads& from);

 private:
  struct Task {
    FinishedReads* to;
    WantedRange range;
    IoCompletion* done;
  };
  void work();
  std::vector<Task> take(std::unique_lock<std::mutex>& lock);
  void serve(RangeReader& reader, const std::vector<Task>& tasks, const std::exception_ptr& error,
             const std::vector<LayerEntry>& entries);

  Repository& m_repository;
  PackReader& m_packs;
  const std::string& m_name;
  std::mutex m_mutex;
  std::condition_variable m_wanted;
  std::condition_variable m_ended;
  bool m_stop = false;
  std::deque<Task> m_tasks;
  std::vector<const FinishedReads*> m_served;  ///< one per request that a thread has
  std::mutex m_index_mutex;                    ///< taken before m_mutex
  EntryStreams m_streams;
  std::vector<std::thread> m_threads;
};

}  // namespace hamal::repository
