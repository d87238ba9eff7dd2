// The parallel copy of one disk: plan -> pieces -> workers -> target (copy_worker.hpp has the
// loop). How many workers there are follows the latency (growth.hpp); what is written is kept track
// of for resuming (finished_ranges.hpp).
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "hamal/block/block_reader.hpp"
#include "hamal/block/block_writer.hpp"
#include "hamal/extent/extent.hpp"
#include "hamal/report/progress.hpp"
#include "hamal/sync/copy_times.hpp"
#include "hamal/sync/finished_ranges.hpp"
#include "hamal/util/cancel.hpp"
#include "hamal/util/rate_limit.hpp"

namespace hamal {

/// Whether unwritten ranges of the target already read as zeros.
enum class Blank { no, yes };

/// What the copies of a run come to together: told by each, read by who decides how many there are.
struct CopyLoad {
  std::atomic<std::uint64_t> moved{0};      ///< bytes
  std::atomic<std::int64_t> latency_ns{0};  ///< of the one that looked last
};

/// How hard a copy may work.
struct CopyPace {
  unsigned readers = 2;  ///< workers to start with, each with a queue to the source and the target
  unsigned max_readers = 2;                ///< the ceiling that latency may raise them to
  std::uint64_t memory = 64U << 20;        ///< bytes of buffers for all workers of this disk
  RateLimit* limit = nullptr;              ///< shared by the disks of a run; null: none
  std::chrono::milliseconds release{0};    ///< how long a worker yields after each MiB
  CopyLoad* load = nullptr;                ///< shared by the disks of a run; null: nobody asks
  std::chrono::milliseconds stall_max{0};  ///< how long all requests may go unanswered; 0: forever
  std::chrono::milliseconds retry_pause{100};  ///< before what could not be read is tried again
};

struct CopyRequest {
  BlockReader& source;
  BlockWriter& target;
  ExtentSource& plan;
  FinishedRanges& finished;  ///< told what of the plan has been written
  Blank blank = Blank::no;
  CopyPace pace;
  std::string object;  ///< for progress
  Progress& progress;
  const CancelToken& cancel;
  /// Called about ten times a second by the calling thread, while workers go on; what it throws
  /// ends the copy.
  std::function<void()> tick = [] {};
};

/// Bytes and requests of one disk's copy, and where its workers' time went.
struct CopyStats {
  std::uint64_t read_bytes = 0;
  std::uint64_t read_requests = 0;
  std::uint64_t retried_requests = 0;  ///< reads tried again after an error
  std::uint64_t written_bytes = 0;
  std::uint64_t zeroed_bytes = 0;
  /// Zeros that a blank target holds already.
  std::uint64_t skipped_bytes = 0;
  TimeShares times;
  unsigned workers = 0;  ///< the most there were at once
  std::string refused;   ///< why there were not more: a connection that could not be made
  /// What could not be read after all tries, sorted and merged: not written, not finished.
  std::vector<Extent> unreadable;
  std::exception_ptr unreadable_reason;
};

void add(CopyStats& sum, const CopyStats& part);

/// Copies all of the plan that can be read, or throws the first error; then `finished` still says
/// what was written. Written, not durable: the caller flushes. A read error that is permanent is
/// one of its range (retried, then `unreadable`); a transient one is one of the connection and is
/// thrown. Thread-safe for different disks.
void copy_extents(const CopyRequest& request, CopyStats& stats);

}  // namespace hamal
