// Clipping, joining, filling and aligning one source (extent/algebra.hpp).
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/cursor.hpp"
#include "hamal/extent/generated.hpp"

namespace hamal {
namespace {

class Clipped final : public GeneratedSource {
 public:
  Clipped(ExtentSourcePtr source, std::uint64_t begin, std::uint64_t end)
      : m_source(std::move(source)), m_begin(begin), m_end(end) {}

 private:
  bool produce(Extent& extent) override {
    m_source.trim_to(m_begin);
    const Extent* next = m_source.peek();
    if (next == nullptr || next->offset >= m_end) {
      return false;
    }
    extent = *next;
    extent.length = std::min(extent.end(), m_end) - extent.offset;
    m_source.pop();
    return true;
  }

  ExtentCursor m_source;
  std::uint64_t m_begin;
  std::uint64_t m_end;
};

class Coalesced final : public GeneratedSource {
 public:
  Coalesced(ExtentSourcePtr source, std::uint64_t max_gap)
      : m_source(std::move(source)), m_max_gap(max_gap) {}

 private:
  bool produce(Extent& extent) override {
    const Extent* next = m_source.peek();
    if (next == nullptr) {
      return false;
    }
    extent = *next;
    m_source.pop();
    while ((next = m_source.peek()) != nullptr && next->kind == extent.kind) {
      const std::uint64_t gap = next->offset - extent.end();
      if (gap > (extent.kind == ExtentKind::data ? m_max_gap : 0)) {
        break;
      }
      extent.length = next->end() - extent.offset;
      m_source.pop();
    }
    return true;
  }

  ExtentCursor m_source;
  std::uint64_t m_max_gap;
};

class Filled final : public GeneratedSource {
 public:
  Filled(ExtentSourcePtr source, std::uint64_t size)
      : m_source(clip(std::move(source), 0, size)), m_size(size) {}

 private:
  bool produce(Extent& extent) override {
    if (m_position == m_size) {
      return false;
    }
    const Extent* next = m_source.peek();
    if (next != nullptr && next->offset == m_position) {
      extent = *next;
      m_source.pop();
    } else {
      const std::uint64_t end = next == nullptr ? m_size : next->offset;
      extent = {m_position, end - m_position, ExtentKind::zero};
    }
    m_position = extent.end();
    return true;
  }

  ExtentCursor m_source;
  std::uint64_t m_size;
  std::uint64_t m_position = 0;
};

/// Expects its source clipped to the size and coalesced: only then one zero extent tells whether a
/// block is zero.
class Aligned final : public GeneratedSource {
 public:
  Aligned(ExtentSourcePtr source, std::uint64_t granularity, std::uint64_t size)
      : m_source(std::move(source)), m_granularity(granularity), m_size(size) {}

 private:
  std::uint64_t floor(std::uint64_t offset) const { return offset - offset % m_granularity; }
  /// The end of the block that `offset` lies in or ends.
  std::uint64_t ceil(std::uint64_t offset) const {
    const std::uint64_t rest = offset % m_granularity;
    if (rest == 0) {
      return offset;
    }
    const std::uint64_t grow = m_granularity - rest;
    return m_size - offset < grow ? m_size : offset + grow;
  }

  bool produce(Extent& extent) override {
    const Extent* next = m_source.peek();
    if (next == nullptr) {
      return false;
    }
    const std::uint64_t begin = floor(next->offset);
    std::uint64_t end = 0;
    ExtentKind kind = ExtentKind::data;
    if (next->kind == ExtentKind::data) {
      end = ceil(next->end());
    } else {
      const std::uint64_t whole = next->end() == m_size ? m_size : floor(next->end());
      if (next->offset == begin && whole > begin) {
        kind = ExtentKind::zero;
        end = whole;
      } else {
        end = ceil(next->offset + 1);
      }
    }
    extent = {begin, end - begin, kind};
    m_source.trim_to(end);
    return true;
  }

  ExtentCursor m_source;
  std::uint64_t m_granularity;
  std::uint64_t m_size;
};

}  // namespace

ExtentSourcePtr clip(ExtentSourcePtr source, std::uint64_t begin, std::uint64_t end) {
  return std::make_unique<Clipped>(std::move(source), begin, end);
}

ExtentSourcePtr coalesce(ExtentSourcePtr source, std::uint64_t max_gap) {
  return std::make_unique<Coalesced>(std::move(source), max_gap);
}

ExtentSourcePtr fill_gaps(ExtentSourcePtr source, std::uint64_t size) {
  return std::make_unique<Filled>(std::move(source), size);
}

ExtentSourcePtr align(ExtentSourcePtr source, std::uint64_t granularity, std::uint64_t size) {
  if (granularity == 0) {
    throw std::logic_error("align: the granularity is 0");
  }
  ExtentSourcePtr prepared = coalesce(clip(std::move(source), 0, size));
  return coalesce(std::make_unique<Aligned>(std::move(prepared), granularity, size));
}

}  // namespace hamal
