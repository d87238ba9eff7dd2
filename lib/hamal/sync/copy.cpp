#include "hamal/sync/copy.hpp"

#include <algorithm>
#include <bit>
#include <mutex>
#include <thread>

#include "hamal/sync/copy_worker.hpp"

namespace hamal {
namespace {

// Large enough that a request costs little beside its bytes, small enough that a few fit the core's
// cache.
constexpr std::uint32_t k_piece_bytes = 256U << 10;
// A zero operation may be huge; this bounds how long one cannot be interrupted.
constexpr std::uint64_t k_zero_piece_bytes = 1ULL << 30;
constexpr std::size_t k_max_slots = 64;
constexpr std::size_t k_min_slots = 4;

std::uint32_t piece_bytes(const CopyRequest& request) {
  const std::uint32_t bound =
      std::min({k_piece_bytes, request.source.max_request(), request.target.max_request()});
  return std::max(std::bit_floor(bound), 4096U);
}

void add(CopyStats& sum, const CopyStats& part) {
  sum.read_bytes += part.read_bytes;
  sum.read_requests += part.read_requests;
  sum.written_bytes += part.written_bytes;
  sum.zeroed_bytes += part.zeroed_bytes;
  sum.skipped_bytes += part.skipped_bytes;
  sum.source_ms += part.source_ms;
  sum.target_ms += part.target_ms;
}

}  // namespace

CopyStats copy_extents(const CopyRequest& request) {
  const unsigned workers = std::max(
      1U, std::min({request.readers, request.source.max_queues(), request.target.max_queues()}));
  const std::uint32_t piece = piece_bytes(request);
  WorkQueue work(request.plan, piece, k_zero_piece_bytes);
  std::atomic<bool> stop{false};
  const CopyShared shared{
      request, work, stop,
      std::clamp<std::size_t>(request.memory / workers / piece, k_min_slots, k_max_slots), piece};

  CopyStats total;
  total.workers = workers;
  std::mutex mutex;  // of total and first_error
  std::exception_ptr first_error;
  const auto run_worker = [&] {
    try {
      CopyWorker worker(shared, request.source.open_queue(), request.target.open_queue());
      worker.run();
      const std::lock_guard lock(mutex);
      add(total, worker.stats());
    } catch (...) {
      const std::lock_guard lock(mutex);
      stop.store(true, std::memory_order_relaxed);
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
  if (first_error) {
    std::rethrow_exception(first_error);
  }
  return total;
}

}  // namespace hamal
