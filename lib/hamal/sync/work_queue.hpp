// Cuts a plan into pieces and deals them to the workers, in ascending order.
#pragma once
#include <cstdint>
#include <mutex>
#include <vector>

#include "hamal/extent/extent.hpp"

namespace hamal {

/// Thread-safe. Holds one window of the plan.
class WorkQueue {
 public:
  /// `data_piece` bounds data pieces and aligns their ends, so that a piece is one request;
  /// `zero_piece` bounds zero pieces. Bytes, powers of two. The plan must outlive the queue.
  WorkQueue(ExtentSource& plan, std::uint32_t data_piece, std::uint64_t zero_piece);
  /// False when the plan is dealt out. Throws what the plan throws.
  bool next(Extent& piece);

 private:
  std::mutex m_mutex;
  ExtentSource& m_plan;
  std::uint64_t m_data_piece;
  std::uint64_t m_zero_piece;
  std::vector<Extent> m_window;
  std::size_t m_index = 0;
  std::uint64_t m_taken = 0;  // bytes of m_window[m_index] already dealt
};

}  // namespace hamal
