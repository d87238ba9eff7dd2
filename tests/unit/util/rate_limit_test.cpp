// The token bucket: what was taken is waited for afterwards, by whoever comes next.
#include "hamal/util/rate_limit.hpp"

#include <gtest/gtest.h>

namespace hamal {
namespace {

using namespace std::chrono_literals;

TEST(RateLimit, DebtsAddUpAndAreForgottenOnlyByTime) {
  RateLimit limit(1000);
  const RateLimit::TimePoint start{100s};
  EXPECT_EQ(limit.take(500, start), 500ms);
  EXPECT_EQ(limit.take(500, start), 1s);
  EXPECT_EQ(limit.take(1000, start + 1s), 1s);
  // Time that nobody used is not saved up.
  EXPECT_EQ(limit.take(1000, start + 100s), 1s);
}

TEST(RateLimit, NoneIsNone) {
  RateLimit limit(0);
  EXPECT_EQ(limit.take(1ULL << 60, {}), 0s);
}

}  // namespace
}  // namespace hamal
