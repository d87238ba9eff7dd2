// Walks a source extent by extent, and within one by bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "hamal/extent/extent.hpp"

namespace hamal {

class ExtentCursor {
 public:
  explicit ExtentCursor(ExtentSourcePtr source);

  /// The current extent, or what trim_to() left of it; null at the end. Valid until the cursor
  /// moves.
  const Extent* peek() {
    if (m_index < m_window.size()) {
      return &m_window[m_index];
    }
    return refill();
  }
  /// On to the next extent.
  void pop() noexcept { ++m_index; }
  /// Drops everything before `offset`.
  void trim_to(std::uint64_t offset);

 private:
  const Extent* refill();

  ExtentSourcePtr m_source;
  std::vector<Extent> m_window;
  std::size_t m_index = 0;
};

}  // namespace hamal
