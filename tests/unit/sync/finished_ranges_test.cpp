// The set of what is written, against a bitmap.
#include "hamal/sync/finished_ranges.hpp"

#include <gtest/gtest.h>

#include <random>

namespace hamal {
namespace {

TEST(FinishedRanges, AgreeWithABitmapWhateverTheOrder) {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    std::vector<bool> model(300);
    FinishedRanges ranges;
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t begin = random() % 290;
      const std::uint64_t end = begin + 1 + random() % (300 - begin);
      const std::uint64_t short_end = std::min(end, begin + 9);
      ranges.add(begin, short_end);
      std::fill(model.begin() + static_cast<std::ptrdiff_t>(begin),
                model.begin() + static_cast<std::ptrdiff_t>(short_end), true);
    }
    std::vector<bool> seen(300);
    std::uint64_t previous_end = 0;
    bool first = true;
    for (const Extent& range : ranges.ranges()) {
      EXPECT_TRUE(first || range.offset > previous_end) << "not merged, or not sorted";
      first = false;
      previous_end = range.end();
      for (std::uint64_t at = range.offset; at < range.end(); ++at) {
        seen[at] = true;
      }
    }
    EXPECT_EQ(seen, model);
  }
}

TEST(FinishedRanges, AResetForgetsWhatCameLater) {
  FinishedRanges ranges;
  ranges.add(0, 10);
  const auto durable = ranges.ranges();
  ranges.add(20, 30);
  ranges.reset(durable);
  EXPECT_EQ(ranges.ranges(), durable);
}

}  // namespace
}  // namespace hamal
