// Moving through windows.
#include "hamal/extent/cursor.hpp"

#include <utility>

namespace hamal {

ExtentCursor::ExtentCursor(ExtentSourcePtr source) : m_source(std::move(source)) {}

const Extent* ExtentCursor::refill() {
  m_index = 0;
  m_window.clear();
  while (m_source && m_window.empty()) {
    if (!m_source->next(m_window)) {
      m_window.clear();
      m_source.reset();
    }
  }
  return m_window.empty() ? nullptr : m_window.data();
}

void ExtentCursor::trim_to(std::uint64_t offset) {
  while (peek() != nullptr) {
    Extent& current = m_window[m_index];
    if (current.end() > offset) {
      if (current.offset < offset) {
        current.length = current.end() - offset;
        current.offset = offset;
      }
      return;
    }
    pop();
  }
}

}  // namespace hamal
