// What has passed of one disk: order, bounds and totals, for writers and readers alike. Private to
// stream/.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "hamal/extent/totals.hpp"
#include "hamal/extent/validate.hpp"

namespace hamal {

class DiskTrack {
 public:
  explicit DiskTrack(std::uint64_t size) : m_size(size) {}

  /// What is wrong with the next extent, as the rest of a sentence; nullopt: it counts.
  std::optional<std::string> add(const Extent& extent) {
    if (auto problem = extent_problem(extent, m_previous.offset, m_previous.end(), m_size)) {
      return problem;
    }
    m_totals.add(extent);
    m_previous = extent;
    return std::nullopt;
  }
  const ExtentTotals& totals() const noexcept { return m_totals; }

 private:
  std::uint64_t m_size;
  Extent m_previous{};
  ExtentTotals m_totals;
};

}  // namespace hamal
