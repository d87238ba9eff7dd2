// Union, intersection and difference of two sources (extent/algebra.hpp).
#include <algorithm>
#include <utility>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/cursor.hpp"
#include "hamal/extent/generated.hpp"

namespace hamal {
namespace {

class Union final : public GeneratedSource {
 public:
  Union(ExtentSourcePtr earlier, ExtentSourcePtr later)
      : m_earlier(std::move(earlier)), m_later(std::move(later)) {}

 private:
  bool produce(Extent& extent) override {
    const Extent* earlier = m_earlier.peek();
    const Extent* later = m_later.peek();
    if (earlier == nullptr && later == nullptr) {
      return false;
    }
    if (earlier == nullptr || (later != nullptr && later->offset <= earlier->offset)) {
      extent = *later;
      m_later.pop();
      m_earlier.trim_to(extent.end());
      return true;
    }
    extent = *earlier;
    if (later != nullptr && later->offset < extent.end()) {
      extent.length = later->offset - extent.offset;
    }
    m_earlier.trim_to(extent.end());
    return true;
  }

  ExtentCursor m_earlier;
  ExtentCursor m_later;
};

class Intersection final : public GeneratedSource {
 public:
  Intersection(ExtentSourcePtr first, ExtentSourcePtr second, KindOf kind)
      : m_first(std::move(first)), m_second(std::move(second)), m_kind(kind) {}

 private:
  bool produce(Extent& extent) override {
    for (;;) {
      const Extent* first = m_first.peek();
      const Extent* second = m_second.peek();
      if (first == nullptr || second == nullptr) {
        return false;
      }
      const std::uint64_t begin = std::max(first->offset, second->offset);
      const std::uint64_t end = std::min(first->end(), second->end());
      if (begin < end) {
        extent = {begin, end - begin, m_kind == KindOf::first ? first->kind : second->kind};
        m_first.trim_to(end);
        m_second.trim_to(end);
        return true;
      }
      m_first.trim_to(begin);
      m_second.trim_to(begin);
    }
  }

  ExtentCursor m_first;
  ExtentCursor m_second;
  KindOf m_kind;
};

class Difference final : public GeneratedSource {
 public:
  Difference(ExtentSourcePtr from, ExtentSourcePtr what)
      : m_from(std::move(from)), m_what(std::move(what)) {}

 private:
  bool produce(Extent& extent) override {
    for (;;) {
      const Extent* from = m_from.peek();
      if (from == nullptr) {
        return false;
      }
      m_what.trim_to(from->offset);
      const Extent* what = m_what.peek();
      if (what == nullptr || what->offset > from->offset) {
        extent = *from;
        if (what != nullptr && what->offset < extent.end()) {
          extent.length = what->offset - extent.offset;
        }
        m_from.trim_to(extent.end());
        return true;
      }
      m_from.trim_to(what->end());
    }
  }

  ExtentCursor m_from;
  ExtentCursor m_what;
};

}  // namespace

ExtentSourcePtr unite(ExtentSourcePtr earlier, ExtentSourcePtr later) {
  return std::make_unique<Union>(std::move(earlier), std::move(later));
}

ExtentSourcePtr intersect(ExtentSourcePtr first, ExtentSourcePtr second, KindOf kind) {
  return std::make_unique<Intersection>(std::move(first), std::move(second), kind);
}

ExtentSourcePtr subtract(ExtentSourcePtr from, ExtentSourcePtr what) {
  return std::make_unique<Difference>(std::move(from), std::move(what));
}

}  // namespace hamal
