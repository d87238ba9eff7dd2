// Counts of extents and of the bytes they cover, by kind.
#pragma once
#include <cstdint>

#include "hamal/extent/extent.hpp"

namespace hamal {

struct ExtentTotals {
  std::uint64_t extents = 0;
  std::uint64_t data_bytes = 0;
  std::uint64_t zero_bytes = 0;

  void add(const Extent& extent) noexcept {
    ++extents;
    (extent.kind == ExtentKind::data ? data_bytes : zero_bytes) += extent.length;
  }
  std::uint64_t bytes() const noexcept { return data_bytes + zero_bytes; }
  friend bool operator==(const ExtentTotals&, const ExtentTotals&) = default;
};

}  // namespace hamal
