// How many workers there should be, on a clock of the test.
#include "hamal/sync/growth.hpp"

#include <gtest/gtest.h>

namespace hamal {
namespace {

using namespace std::chrono_literals;

// A storage that gives each worker so much per second, up to a bound.
unsigned climb(unsigned start, unsigned most, std::chrono::nanoseconds latency,
               std::uint64_t each_mb, std::uint64_t bound_mb) {
  Growth::TimePoint now{};
  Growth growth(start, most, now);
  unsigned workers = start;
  std::uint64_t bytes = 0;
  for (int tick = 0; tick < 100; ++tick) {
    now += 100ms;
    bytes += std::min(workers * each_mb, bound_mb) * 100'000;
    workers = growth.wanted(bytes, latency, now);
  }
  return workers;
}

TEST(Growth, LatencyRaisesTheNumberToTheCeiling) {
  EXPECT_EQ(climb(2, 16, 20ms, 50, 10'000), 16U);
}

TEST(Growth, WithoutLatencyTheStartStays) {
  EXPECT_EQ(climb(2, 16, 300us, 50, 10'000), 2U);
}

TEST(Growth, StopsWhereMoreBringsNothing) {
  EXPECT_EQ(climb(2, 16, 20ms, 50, 200), 8U);
  EXPECT_EQ(climb(2, 64, 50ms, 50, 200), 16U);
}

TEST(Growth, NeverBeyondTheCeiling) {
  EXPECT_EQ(climb(3, 5, 20ms, 50, 10'000), 5U);
}

TEST(Growth, AStepThatCostsIsTakenBack) {
  Growth::TimePoint now{};
  Growth growth(2, 64, now);
  EXPECT_EQ(growth.wanted(0, 40ms, now += 10ms), 8U);
  EXPECT_EQ(growth.wanted(100'000'000, 40ms, now += 200ms), 16U);
  EXPECT_EQ(growth.wanted(150'000'000, 40ms, now += 200ms), 8U);
}

TEST(Growth, LeapsWithTheFirstVeryLateAnswer) {
  Growth::TimePoint now{};
  Growth growth(2, 16, now);
  EXPECT_EQ(growth.wanted(0, 0ms, now += 10ms), 2U) << "nothing is known yet";
  EXPECT_EQ(growth.wanted(1'000'000, 20ms, now += 10ms), 2U) << "not late enough";
  EXPECT_EQ(growth.wanted(1'000'000, 40ms, now += 10ms), 8U);
  EXPECT_EQ(growth.wanted(2'000'000, 40ms, now += 10ms), 8U) << "once";
}

}  // namespace
}  // namespace hamal
