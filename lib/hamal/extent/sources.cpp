// A vector as a source.
#include "hamal/extent/sources.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace hamal {
namespace {

class VectorSource final : public ExtentSource {
 public:
  VectorSource(std::vector<Extent> extents, std::size_t window_extents)
      : m_extents(std::move(extents)), m_window_extents(std::max<std::size_t>(window_extents, 1)) {}

  bool next(std::vector<Extent>& window) override {
    const std::size_t count = std::min(m_window_extents, m_extents.size() - m_position);
    const auto from = m_extents.begin() + static_cast<std::ptrdiff_t>(m_position);
    window.assign(from, from + static_cast<std::ptrdiff_t>(count));
    m_position += count;
    return count != 0;
  }

 private:
  std::vector<Extent> m_extents;
  std::size_t m_window_extents;
  std::size_t m_position = 0;
};

}  // namespace

ExtentSourcePtr vector_source(std::vector<Extent> extents, std::size_t window_extents) {
  return std::make_unique<VectorSource>(std::move(extents), window_extents);
}

ExtentSourcePtr empty_source() {
  return vector_source({});
}

ExtentSourcePtr whole_disk(std::uint64_t size, ExtentKind kind) {
  return size == 0 ? empty_source() : vector_source({Extent{0, size, kind}});
}

std::vector<Extent> collect(ExtentSource& source) {
  std::vector<Extent> all;
  std::vector<Extent> window;
  while (source.next(window)) {
    all.insert(all.end(), window.begin(), window.end());
  }
  return all;
}

}  // namespace hamal
