// The parallel copy of one disk: plan -> pieces -> workers -> target (copy_worker.hpp has the
// loop).
#pragma once
#include <cstdint>
#include <string>

#include "hamal/block/block_reader.hpp"
#include "hamal/block/block_writer.hpp"
#include "hamal/extent/extent.hpp"
#include "hamal/report/progress.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal {

/// Whether unwritten ranges of the target already read as zeros.
enum class Blank { no, yes };

struct CopyRequest {
  BlockReader& source;
  BlockWriter& target;
  ExtentSource& plan;
  Blank blank = Blank::no;
  unsigned readers = 2;  ///< workers, each with a queue to the source and one to the target
  std::uint64_t memory = 64U << 20;  ///< bytes of buffers for all workers of this disk
  std::string object;                ///< for progress
  Progress& progress;
  const CancelToken& cancel;
};

/// Bytes and requests of one disk's copy, and where its workers' time went (milliseconds, summed
/// over workers).
struct CopyStats {
  std::uint64_t read_bytes = 0;
  std::uint64_t read_requests = 0;
  std::uint64_t written_bytes = 0;
  std::uint64_t zeroed_bytes = 0;
  /// Zeros that a blank target holds already.
  std::uint64_t skipped_bytes = 0;
  std::uint64_t source_ms = 0;
  std::uint64_t target_ms = 0;
  unsigned workers = 0;
};

/// Copies all of the plan, or throws the first error; then nothing is known of what the target
/// holds. Completion means written, not durable: the caller flushes. Thread-safe for different
/// disks.
CopyStats copy_extents(const CopyRequest& request);

}  // namespace hamal
