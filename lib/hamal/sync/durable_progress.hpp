// What of a run is durably on its target: flushed now and then while the copy goes on, so that a
// run that dies has lost no more than one period's work (design rule 3).
//
//   written (FinishedRanges) ──flush──► durable ──record──► the in-progress mark
//
// The order is the point: what was written is noted before the flush and recorded after it.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "hamal/block/block_writer.hpp"
#include "hamal/extent/extent.hpp"
#include "hamal/sync/finished_ranges.hpp"

namespace hamal {

/// Used by one thread; `written` is added to by others meanwhile. A target that is not flushed but
/// becomes durable by itself has its own tick() (staged_progress.hpp).
class DurableProgress {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Record = std::function<void(const std::vector<Extent>&)>;
  struct Periods {
    std::chrono::milliseconds flush{3000};  ///< between two flushes
    FlushBounds bounds;                     ///< of one
  };

  /// `durable` is what an earlier run recorded. `record` makes a set survive the process.
  DurableProgress(std::vector<Extent> durable, Periods periods, Record record, TimePoint now);
  virtual ~DurableProgress() = default;
  DurableProgress(const DurableProgress&) = delete;
  DurableProgress& operator=(const DurableProgress&) = delete;

  /// For the workers. Reset to what is durable by void_unflushed().
  FinishedRanges& written() noexcept { return m_written; }
  const std::vector<Extent>& durable() const noexcept { return m_durable; }

  /// Flushes and records when it is time and there is something new. Throws what either throws.
  virtual void tick(BlockWriter& target, TimePoint now);
  /// Flushes whatever there is. Records only while the run goes on: the end of a plan is recorded
  /// by its commit.
  void flush(BlockWriter& target);
  void record() { m_record(m_durable); }
  /// The target was reconnected or a flush has failed: what was not flushed is not believed.
  virtual void void_unflushed() { m_written.reset(m_durable); }

  unsigned flushes() const noexcept { return m_flushes; }
  std::uint64_t flush_ms() const noexcept { return m_flush_ms; }

 protected:
  /// Those ranges are durable now.
  void advance(std::vector<Extent> durable);

 private:
  FinishedRanges m_written;
  std::vector<Extent> m_durable;
  Periods m_periods;
  Record m_record;
  TimePoint m_next;
  unsigned m_flushes = 0;
  std::uint64_t m_flush_ms = 0;
};

}  // namespace hamal
