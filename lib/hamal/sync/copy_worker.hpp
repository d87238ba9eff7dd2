// One worker of a copy: a single-threaded event loop over a read queue and a write queue.
//
// A slot is one piece in flight: a buffer and its state.
//
//        take a piece              read done               all writes done
//   free ────────────► reading ───────────────► writing ───────────────────► free, finished
//     │                   └─ read failed: back to the queue ─────────────────► free
//     └──────────────────── zero piece ────────────┘
//
// The write is submitted from the completion of its read, while the bytes are in this core's cache;
// nothing crosses threads but pieces and counters. Queues that complete inside the submitting call
// (files) run the same states to the end within one submit. New reads are submitted by the loop
// alone, never from a completion: recursion stays bounded, and libnbd forbids calls on a handle
// from its own callbacks.
#pragma once
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <vector>

#include "hamal/block/io_queue.hpp"
#include "hamal/sync/buffer_pool.hpp"
#include "hamal/sync/copy.hpp"
#include "hamal/sync/copy_queue.hpp"

namespace hamal {

/// What the workers of one copy share.
struct CopyShared {
  const CopyRequest& request;
  CopyQueue& work;
  CopyTimes& times;
  /// Set by the first that fails: the others stop taking pieces.
  std::atomic<bool>& stop;
  /// Workers with this number or a higher one retire.
  std::atomic<unsigned>& wanted;
  /// Pieces that are read or written now, and those that were, well or not: what a stall is seen
  /// by.
  std::atomic<std::uint64_t>& under_way;
  std::atomic<std::uint64_t>& answered;
  /// Bytes of data that have been copied.
  std::atomic<std::uint64_t>& moved;
  std::size_t slots;
  std::size_t piece_bytes;
};

/// Used by one thread.
class CopyWorker {
 public:
  CopyWorker(const CopyShared& shared, unsigned number, std::unique_ptr<ReadQueue> source,
             std::unique_ptr<WriteQueue> target);
  ~CopyWorker();
  /// Until the plan is dealt out and everything taken is written. Throws the first error, with
  /// outstanding requests abandoned.
  void run();
  const CopyStats& stats() const noexcept { return m_stats; }

 private:
  class Slot;
  using SteadyTime = std::chrono::steady_clock::time_point;

  /// What the loop should do next.
  enum class Take { more, pause, end };
  Take take_piece();
  void pace(std::uint64_t bytes);
  bool copy_in_kernel(Slot& slot);
  void start_read(Slot& slot);
  void write_out(Slot& slot);
  void start_zero(Slot& slot, std::uint64_t offset, std::uint64_t length);
  void read_failed(Slot& slot, const std::exception_ptr& error);
  void release(Slot& slot);
  bool idle() const noexcept { return m_reading + m_writing == 0; }
  void wait();
  int wait_milliseconds() const;
  void account_wait(SteadyTime since);
  void fail(std::exception_ptr error) noexcept;
  void add_target(SteadyTime since) noexcept;
  /// The target's share since then is not the source's.
  void add_source(SteadyTime since, std::chrono::nanoseconds target_before) noexcept;

  const CopyShared& m_shared;
  unsigned m_number;
  BufferPool m_buffers;
  std::vector<std::unique_ptr<Slot>> m_slots;
  std::vector<Slot*> m_free;  // the last freed is taken first: its buffer is in the cache
  // Queues die before slots and buffers: what they abandon may still name them.
  std::unique_ptr<ReadQueue> m_source;
  std::unique_ptr<WriteQueue> m_target;
  int m_source_file;  // -1: not a file, or the target cannot copy from it
  std::vector<pollfd> m_poll;
  std::size_t m_reading = 0;
  std::size_t m_writing = 0;
  std::exception_ptr m_error;
  CopyStats m_stats;
  /// No piece is taken before: the pace, or a retry that is not due.
  SteadyTime m_paused_until{};
  bool m_throttled = false;        // it is the pace
  std::uint64_t m_unreleased = 0;  // bytes since the last release of the processor
  // Of the call that is running: a submission may complete at once, and write inside a read.
  std::chrono::nanoseconds m_target_time{0};
};

}  // namespace hamal
