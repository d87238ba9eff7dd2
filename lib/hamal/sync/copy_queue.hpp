// Deals a plan to the workers of a copy, and takes back what could not be read.
//
// A read that fails is tried again later and in smaller parts, so that one bad sector costs its own
// 4 KiB and not its neighbours:
//
//   whole piece ─100 ms─► whole piece ─500 ms─► parts of 64 KiB ─2 s─► parts of 4 KiB ─► unreadable
#pragma once
#include <chrono>
#include <cstdint>
#include <exception>
#include <map>
#include <mutex>
#include <vector>

#include "hamal/extent/extent.hpp"
#include "hamal/sync/finished_ranges.hpp"
#include "hamal/sync/work_queue.hpp"

namespace hamal {

/// One request's worth of the plan.
struct CopyPiece {
  Extent extent;
  std::uint64_t covers_from = 0;  ///< finished_ranges.hpp
  unsigned failures = 0;          ///< reads of it that failed
};

/// Thread-safe.
class CopyQueue {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  enum class Next { piece, later, end };

  /// `finished` is told what is done; it and the plan outlive the queue. `retry_pause` is the first
  /// one; those that follow are 5 and 20 times as long.
  CopyQueue(ExtentSource& plan, std::uint32_t data_piece, std::uint64_t zero_piece,
            FinishedRanges& finished, std::chrono::milliseconds retry_pause);

  /// The next piece; or `later`, when what failed before is not due until `when`; or the end.
  Next next(CopyPiece& piece, TimePoint now, TimePoint& when);
  void finished(const CopyPiece& piece);
  /// Tries it again later, or gives the range up. Throws when the source has so many unreadable
  /// ranges that looking for more is of no use.
  void read_failed(const CopyPiece& piece, const std::exception_ptr& error, TimePoint now);

  /// Whether the plan is dealt out: from then on only what failed comes back, and whoever has
  /// requests under way must stay for it.
  bool dealt() const;
  /// Whether something waits to be tried again.
  bool has_retries() const;
  /// Reads that were tried again.
  std::uint64_t retried() const;
  /// What was given up, sorted and merged.
  std::vector<Extent> unreadable() const;
  /// Why the first of them could not be read; null when there is none.
  std::exception_ptr unreadable_reason() const;

 private:
  void require_some_readable(const std::exception_ptr& error) const;

  WorkQueue m_plan;
  FinishedRanges& m_finished;
  std::chrono::milliseconds m_retry_pause;
  mutable std::mutex m_mutex;
  std::uint64_t m_dealt_end = 0;
  bool m_dealt = false;                           // the plan is dealt out
  std::multimap<TimePoint, CopyPiece> m_retries;  // by when they are due
  FinishedRanges m_unreadable;
  std::exception_ptr m_unreadable_reason;
  std::uint64_t m_retried = 0;
  std::size_t m_failed_pieces = 0;  // whole ones
  std::size_t m_given_up = 0;       // parts
};

}  // namespace hamal
