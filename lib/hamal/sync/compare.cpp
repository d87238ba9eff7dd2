#include "hamal/sync/compare.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "hamal/extent/algebra.hpp"
#include "hamal/sync/buffer_pool.hpp"
#include "hamal/sync/work_queue.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

constexpr std::uint32_t k_piece_bytes = 1U << 20;
constexpr std::size_t k_granularity = 4096;

// What a source calls data; zero extents are left out.
class DataOnly final : public ExtentSource {
 public:
  explicit DataOnly(ExtentSourcePtr source) : m_source(std::move(source)) {}
  bool next(std::vector<Extent>& window) override {
    while (m_source->next(window)) {
      std::erase_if(window, [](const Extent& e) { return e.kind != ExtentKind::data; });
      if (!window.empty()) {
        return true;
      }
    }
    return false;
  }

 private:
  ExtentSourcePtr m_source;
};

class Arrival final : public IoCompletion {
 public:
  void io_done(std::exception_ptr error) noexcept override {
    m_error = std::move(error);
    m_pending = false;
  }
  void rethrow() const {
    if (m_error) {
      std::rethrow_exception(m_error);
    }
  }
  bool m_pending = true;

 private:
  std::exception_ptr m_error;
};

// Differences of all workers, kept as maximal ranges.
class Differences {
 public:
  void add(std::uint64_t offset, std::uint64_t length) {
    const std::lock_guard lock(m_mutex);
    m_bytes += length;
    if (m_ranges.size() >= CompareResult::k_max_differences) {
      m_truncated = true;
      return;
    }
    auto next = m_ranges.lower_bound(offset);
    if (next != m_ranges.end() && next->first == offset + length) {
      length += next->second;
      next = m_ranges.erase(next);
    }
    if (next != m_ranges.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == offset) {
        before->second += length;
        return;
      }
    }
    m_ranges.emplace_hint(next, offset, length);
  }

  void report(CompareResult& result) const {
    result.differing_bytes = m_bytes;
    result.truncated = m_truncated;
    for (const auto& [offset, length] : m_ranges) {
      result.differences.push_back({offset, length, ExtentKind::data});
    }
  }

 private:
  std::mutex m_mutex;
  std::map<std::uint64_t, std::uint64_t> m_ranges;
  std::uint64_t m_bytes = 0;
  bool m_truncated = false;
};

class CompareWorker {
 public:
  CompareWorker(const CompareRequest& request, std::uint32_t piece, WorkQueue& work,
                Differences& found)
      : m_request(request),
        m_work(work),
        m_found(found),
        m_buffers(2, piece),
        m_source(request.source.open_queue()),
        m_target(request.target.open_queue()) {}

  std::uint64_t run(const std::atomic<bool>& stop) {
    std::uint64_t bytes = 0;
    Extent piece;
    while (!stop && m_work.next(piece)) {
      m_request.cancel.check();
      compare(piece);
      bytes += piece.length;
      m_request.progress.advance(m_request.object, piece.length);
    }
    return bytes;
  }

 private:
  void compare(const Extent& piece) {
    const auto left = m_buffers.buffer(0).first(piece.length);
    const auto right = m_buffers.buffer(1).first(piece.length);
    Arrival source_done;
    Arrival target_done;
    m_source->read(piece.offset, left, source_done);
    m_target->read(piece.offset, right, target_done);
    await(source_done, target_done);
    source_done.rethrow();
    target_done.rethrow();
    if (std::memcmp(left.data(), right.data(), piece.length) == 0) {
      return;
    }
    for (std::size_t at = 0; at < piece.length; at += k_granularity) {
      const std::size_t step = std::min<std::size_t>(k_granularity, piece.length - at);
      if (std::memcmp(left.data() + at, right.data() + at, step) != 0) {
        m_found.add(piece.offset + at, step);
      }
    }
  }

  void await(const Arrival& source_done, const Arrival& target_done) {
    while (source_done.m_pending || target_done.m_pending) {
      m_poll.clear();
      m_source->add_poll_fds(m_poll);
      m_target->add_poll_fds(m_poll);
      m_poll.push_back({m_request.cancel.poll_fd(), POLLIN, 0});
      ::poll(m_poll.data(), m_poll.size(), 200);
      m_request.cancel.check();
      m_source->progress();
      m_target->progress();
    }
  }

  const CompareRequest& m_request;
  WorkQueue& m_work;
  Differences& m_found;
  BufferPool m_buffers;
  std::unique_ptr<ReadQueue> m_source;
  std::unique_ptr<ReadQueue> m_target;
  std::vector<pollfd> m_poll;
};

}  // namespace

CompareResult compare_disks(const CompareRequest& request) {
  CompareResult result;
  result.source_size = request.source.size();
  result.target_size = request.target.size();
  const std::uint64_t common = std::min(result.source_size, result.target_size);
  const auto plan = clip(coalesce(unite(std::make_unique<DataOnly>(request.source.allocated()),
                                        std::make_unique<DataOnly>(request.target.allocated()))),
                         0, common);
  const unsigned workers = std::max(
      1U, std::min({request.readers, request.source.max_queues(), request.target.max_queues()}));
  const std::uint32_t piece =
      std::min({k_piece_bytes, request.source.max_request(), request.target.max_request()});
  WorkQueue work(*plan, piece, piece);
  Differences found;
  std::atomic<bool> stop{false};
  std::mutex mutex;  // of read_bytes and first_error
  std::exception_ptr first_error;
  request.progress.phase(request.object, "comparing", common);
  const auto run_worker = [&] {
    try {
      const std::uint64_t bytes = CompareWorker(request, piece, work, found).run(stop);
      const std::lock_guard lock(mutex);
      result.read_bytes += bytes;
    } catch (...) {
      const std::lock_guard lock(mutex);
      stop = true;
      if (!first_error) {
        first_error = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < workers; ++i) {
      threads.emplace_back(run_worker);
    }
    run_worker();
  }
  request.progress.done(request.object);
  if (first_error) {
    std::rethrow_exception(first_error);
  }
  found.report(result);
  return result;
}

}  // namespace hamal
