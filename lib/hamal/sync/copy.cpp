#include "hamal/sync/copy.hpp"

#include <algorithm>
#include <bit>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "hamal/sync/copy_worker.hpp"
#include "hamal/sync/growth.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using std::chrono::steady_clock;

// Large enough that a request costs little beside its bytes, small enough that a few fit the core's
// cache.
constexpr std::uint32_t k_piece_bytes = 256U << 10;
// Between two files the kernel copies, through no cache of ours: fewer calls are quicker.
constexpr std::uint32_t k_kernel_piece_bytes = 1U << 20;
// Objects of Ceph are of this size unless somebody chose another.
constexpr std::uint32_t k_most_piece_bytes = 4U << 20;
// A zero operation may be huge; this bounds how long one cannot be interrupted.
constexpr std::uint64_t k_zero_piece_bytes = 1ULL << 30;
constexpr std::size_t k_max_slots = 64;
constexpr std::size_t k_min_slots = 4;
constexpr std::chrono::milliseconds k_tick{100};
// Until the first answers have shown how late they are.
constexpr std::chrono::milliseconds k_first_tick{10};
constexpr unsigned k_first_ticks = 10;

// What a source keeps as one object is read by one request of its own, as far as the memory
// suffices for a few of them.
std::uint32_t preferred_bytes(const CopyRequest& request) {
  std::uint32_t wanted =
      std::clamp(request.source.preferred_request(), k_piece_bytes, k_most_piece_bytes);
  while (wanted > k_piece_bytes &&
         k_min_slots * std::uint64_t{wanted} * std::max(request.pace.readers, 1U) >
             request.pace.memory) {
    wanted /= 2;
  }
  return wanted;
}

std::uint32_t piece_bytes(const CopyRequest& request) {
  const std::uint32_t wanted =
      request.source.file_descriptor() >= 0 ? k_kernel_piece_bytes : preferred_bytes(request);
  const std::uint32_t bound =
      std::min({wanted, request.source.max_request(), request.target.max_request()});
  return std::max(std::bit_floor(bound), 4096U);
}

// The threads of one copy, and the loop that looks after them.
class Crew {
 public:
  Crew(const CopyRequest& request, CopyStats& stats)
      : m_request(request),
        m_stats(stats),
        m_most(most_workers(request)),
        m_piece(piece_bytes(request)),
        m_queue(request.plan, m_piece, k_zero_piece_bytes, request.finished,
                request.pace.retry_pause),
        m_shared{.request = request,
                 .work = m_queue,
                 .times = m_times,
                 .stop = m_stop,
                 .wanted = m_wanted,
                 .under_way = m_under_way,
                 .answered = m_answered,
                 .moved = m_moved,
                 .slots = slots(),
                 .piece_bytes = m_piece} {}

  void run() {
    const unsigned start = std::clamp(m_request.pace.readers, 1U, m_most);
    Growth growth(start, m_most, steady_clock::now());
    hire(start);
    while (!all_gone()) {
      try {
        m_request.tick();
        require_answers();
        tell();
        hire(growth.wanted(m_moved.load(), m_times.latency(), steady_clock::now()));
      } catch (...) {
        fail(std::current_exception());
      }
    }
    m_threads.clear();
    note_stats();
    if (m_first_error) {
      std::rethrow_exception(m_first_error);
    }
    // Whoever might have forgotten a piece: nobody commits a copy with a hole.
    if (m_queue.has_retries() || m_under_way.load() != 0) {
      throw Error(ErrorKind::failed, "the copy ended before all of the plan was tried",
                  m_request.object, "run again", Transience::transient);
    }
  }

 private:
  static unsigned most_workers(const CopyRequest& request) {
    const auto fitting = static_cast<unsigned>(std::max<std::uint64_t>(
        request.pace.memory / (k_min_slots * std::uint64_t{piece_bytes(request)}), 1));
    // More threads than that take turns on the processors: measured on two, against servers that
    // answer after 10 and 20 ms, 4 workers took 0.7 of the time of 2, and of 16.
    const unsigned useful = 2 * std::max(1U, std::thread::hardware_concurrency());
    return std::max(
        1U, std::min({std::max(std::min(request.pace.max_readers, useful), request.pace.readers),
                      request.source.max_queues(), request.target.max_queues(), fitting}));
  }

  // The same for those who come later: the memory is divided by the ceiling.
  std::size_t slots() const {
    return std::clamp<std::size_t>(m_request.pace.memory / m_most / m_piece, k_min_slots,
                                   k_max_slots);
  }

  // Workers above the number retire by themselves. A thread that cannot be had is as a connection
  // that cannot: those there are go on.
  void hire(unsigned wanted) {
    if (m_stop.load()) {
      return;
    }
    m_wanted.store(wanted);
    while (m_threads.size() < std::min(wanted, m_most)) {
      const auto number = static_cast<unsigned>(m_threads.size());
      {
        const std::lock_guard lock(m_mutex);
        ++m_working;
      }
      try {
        m_threads.emplace_back([this, number] { work(number); });
      } catch (const std::system_error& error) {
        const std::lock_guard lock(m_mutex);
        --m_working;
        m_most = number;
        m_stats.refused = error.what();
        if (number == 0) {
          throw Error(ErrorKind::failed, std::string("cannot start a thread: ") + error.what(),
                      m_request.object, "raise the limit of processes (ulimit -u, TasksMax)",
                      Transience::transient);
        }
        return;
      }
      const std::lock_guard lock(m_mutex);
      m_stats.workers = std::max(m_stats.workers, number + 1);
    }
  }

  // A peer that says nothing at all, not even that it is gone.
  void require_answers() {
    const std::uint64_t answered = m_answered.load();
    const auto now = steady_clock::now();
    if (answered != m_last_answered || m_under_way.load() == 0) {
      m_last_answered = answered;
      m_answered_at = now;
    } else if (m_request.pace.stall_max.count() > 0 &&
               now - m_answered_at > m_request.pace.stall_max) {
      throw Error(ErrorKind::failed,
                  "neither source nor target has answered for " +
                      std::to_string(m_request.pace.stall_max.count() / 1000) + " s",
                  m_request.object, "see whether the storage or the network hangs",
                  Transience::transient);
    }
  }

  void work(unsigned number) {
    try {
      if (const auto worker = open_worker(number)) {
        worker->run();
        const std::lock_guard lock(m_mutex);
        add(m_stats, worker->stats());
      }
    } catch (...) {
      fail(std::current_exception());
    }
    const std::lock_guard lock(m_mutex);
    --m_working;
    m_gone.notify_one();
  }

  // A server may allow fewer connections than we would like: null, and those there are go on.
  std::unique_ptr<CopyWorker> open_worker(unsigned number) {
    try {
      return std::make_unique<CopyWorker>(m_shared, number, m_request.source.open_queue(),
                                          m_request.target.open_queue());
    } catch (const Error& error) {
      if (number == 0 || !error.transient()) {
        throw;
      }
      const std::lock_guard lock(m_mutex);
      m_stats.refused = error.what();
      m_stats.workers = std::min(m_stats.workers, number);
      return nullptr;
    }
  }

  void fail(std::exception_ptr error) {
    const std::lock_guard lock(m_mutex);
    m_stop.store(true);
    if (!m_first_error) {
      m_first_error = std::move(error);
    }
  }

  // Waits one tick at most.
  bool all_gone() {
    const auto tick = m_ticks < k_first_ticks ? k_first_tick : k_tick;
    ++m_ticks;
    std::unique_lock lock(m_mutex);
    return m_gone.wait_for(lock, tick, [this] { return m_working == 0; });
  }

  void tell() {
    if (CopyLoad* load = m_request.pace.load) {
      const std::uint64_t moved = m_moved.load();
      load->moved += moved - m_told;
      load->latency_ns.store(m_times.latency().count());
      m_told = moved;
    }
    const TimeShares now = m_times.shares();
    m_request.progress.bound(m_request.object, bound_by(now - m_shown));
    m_shown = now;
  }

  void note_stats() {
    add(m_stats.times, m_times.shares());
    m_stats.retried_requests += m_queue.retried();
    m_stats.unreadable = m_queue.unreadable();
    m_stats.unreadable_reason = m_queue.unreadable_reason();
  }

  const CopyRequest& m_request;
  CopyStats& m_stats;
  unsigned m_most;
  std::uint32_t m_piece;
  CopyQueue m_queue;
  CopyTimes m_times;
  TimeShares m_shown;
  std::uint64_t m_told = 0;
  unsigned m_ticks = 0;
  std::atomic<bool> m_stop{false};
  std::atomic<unsigned> m_wanted{0};
  std::atomic<std::uint64_t> m_under_way{0};
  std::atomic<std::uint64_t> m_answered{0};
  std::uint64_t m_last_answered = 0;
  steady_clock::time_point m_answered_at = steady_clock::now();
  std::atomic<std::uint64_t> m_moved{0};
  CopyShared m_shared;
  std::mutex m_mutex;  // of the statistics, m_working and m_first_error
  std::condition_variable m_gone;
  unsigned m_working = 0;
  std::exception_ptr m_first_error;
  std::vector<std::jthread> m_threads;  // last: they use all the others
};

}  // namespace

void add(CopyStats& sum, const CopyStats& part) {
  sum.read_bytes += part.read_bytes;
  sum.read_requests += part.read_requests;
  sum.retried_requests += part.retried_requests;
  sum.written_bytes += part.written_bytes;
  sum.zeroed_bytes += part.zeroed_bytes;
  sum.skipped_bytes += part.skipped_bytes;
  add(sum.times, part.times);
  sum.workers = std::max(sum.workers, part.workers);
}

void copy_extents(const CopyRequest& request, CopyStats& stats) {
  Crew(request, stats).run();
}

}  // namespace hamal
