// Which part of a plan is written: a merged set that stays as small as what is in flight.
//
// Pieces of a plan are dealt in ascending order. Each stands for the range from the end of the
// piece dealt before it to its own end: what lies between two pieces is not in the plan, so nothing
// is claimed that was not done, and the ranges of neighbouring pieces touch and merge. A set of N
// ranges means that N - 1 pieces between them are still under way.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "hamal/extent/extent.hpp"

namespace hamal {

/// Thread-safe.
class FinishedRanges {
 public:
  /// `ranges` as ranges() gave them.
  explicit FinishedRanges(const std::vector<Extent>& ranges = {}) { reset(ranges); }
  void add(std::uint64_t begin, std::uint64_t end);
  /// Sorted and merged; the kind means nothing.
  std::vector<Extent> ranges() const;
  /// Forgets what was added since those were taken.
  void reset(const std::vector<Extent>& ranges);

 private:
  mutable std::mutex m_mutex;
  std::map<std::uint64_t, std::uint64_t> m_ranges;  // begin -> end
};

}  // namespace hamal
