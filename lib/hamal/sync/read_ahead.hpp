// The bytes of a disk in order, read a few requests ahead: for what leaves through a pipe.
//
// A ring of slots, oldest first. Data extents are cut into requests and submitted as long as slots
// are free; zero extents take a slot without a buffer, so that the order is kept. The caller gets
// the oldest slot once it has arrived, while the others are still on their way.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "hamal/block/block_reader.hpp"
#include "hamal/extent/extent.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal {

/// A piece of the disk: `bytes` is empty when it is zero, and has `length` bytes when it is data.
struct Piece {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  ExtentKind kind = ExtentKind::data;
  std::span<const std::byte> bytes;
};

/// Used by one thread. The reader and the token outlive it.
class ReadAhead {
 public:
  static constexpr unsigned k_depth = 8;
  static constexpr std::uint32_t k_request = 1U << 20;

  /// `request` bytes at most are asked at once, less where the reader cannot take so much.
  ReadAhead(BlockReader& reader, ExtentSourcePtr extents, const CancelToken& cancel,
            std::uint32_t request = k_request, unsigned depth = k_depth);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  /// The next piece, valid until the next call; false at the end. Throws the first read's error, or
  /// what cancel.check() throws.
  bool next(Piece& piece);

 private:
  struct Slot;
  bool take(Extent& piece);
  void fill();
  void wait(const Slot& slot);

  BlockReader& m_reader;
  ExtentSourcePtr m_extents;
  const CancelToken& m_cancel;
  std::uint32_t m_request;
  std::vector<Extent> m_window;
  std::size_t m_place = 0;    ///< in the window
  std::uint64_t m_taken = 0;  ///< bytes of the extent at m_place that have been submitted
  std::vector<std::unique_ptr<Slot>> m_slots;
  std::deque<Slot*> m_busy;  ///< oldest first
  std::vector<Slot*> m_free;
  Slot* m_lent = nullptr;  ///< what the caller looks at
  /// Last, so first to go: it completes what is under way while the slots still exist.
  std::unique_ptr<ReadQueue> m_queue;
};

}  // namespace hamal
