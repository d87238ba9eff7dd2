// Which versions stay.
#include "hamal/repository/retention.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <optional>

#include "hamal/util/time.hpp"

namespace hamal::repository {
namespace {

using testing::ElementsAre;
using Time = std::chrono::system_clock::time_point;

class RetentionTest : public testing::Test {
 protected:
  // What the zone was before is nobody's business: each test is a process of its own in ctest, and
  // sets its own.
  void SetUp() override { set_zone("UTC0"); }
  static void set_zone(const char* zone) {
    ::setenv("TZ", zone, 1);
    ::tzset();
  }
  static std::vector<Time> times(const std::vector<std::string>& texts) {
    std::vector<Time> all;
    for (const auto& text : texts) {
      all.push_back(parse_rfc3339(text).value());
    }
    return all;
  }
  /// The numbers of those that stay.
  static std::vector<std::size_t> kept(const RetentionPolicy& policy,
                                       const std::vector<std::string>& texts) {
    std::vector<std::size_t> stay;
    const auto reasons = reasons_to_keep(policy, times(texts));
    for (std::size_t i = 0; i < reasons.size(); ++i) {
      if (!reasons[i].empty()) {
        stay.push_back(i);
      }
    }
    return stay;
  }
};

const std::vector<std::string> k_times = {
    "2025-12-31T22:00:00Z",  // 0  Wednesday of week 1 of 2026
    "2026-01-01T01:00:00Z",  // 1
    "2026-01-04T23:59:59Z",  // 2  Sunday, still week 1
    "2026-01-05T00:00:00Z",  // 3  Monday, week 2
    "2026-01-05T00:30:00Z",  // 4
    "2026-01-05T01:10:00Z",  // 5
    "2026-02-01T10:00:00Z",  // 6
};

TEST_F(RetentionTest, TheLastFew) {
  RetentionPolicy policy;
  policy.last = 2;
  EXPECT_THAT(kept(policy, k_times), ElementsAre(5, 6));
  policy.last = 99;
  EXPECT_EQ(kept(policy, k_times).size(), k_times.size());
}

TEST_F(RetentionTest, TheLastOfEachHour) {
  RetentionPolicy policy;
  policy.hourly = 3;
  EXPECT_THAT(kept(policy, k_times), ElementsAre(4, 5, 6));
}

TEST_F(RetentionTest, TheLastOfEachDay) {
  RetentionPolicy policy;
  policy.daily = 3;
  EXPECT_THAT(kept(policy, k_times), ElementsAre(2, 5, 6));
}

TEST_F(RetentionTest, TheLastOfEachIsoWeek) {
  RetentionPolicy policy;
  policy.weekly = 3;
  // Week 1 of 2026 began in 2025.
  EXPECT_THAT(kept(policy, k_times), ElementsAre(2, 5, 6));
}

TEST_F(RetentionTest, TheLastOfEachMonthAndYear) {
  RetentionPolicy policy;
  policy.monthly = 2;
  EXPECT_THAT(kept(policy, k_times), ElementsAre(5, 6));
  policy.monthly = 0;
  policy.yearly = 2;
  EXPECT_THAT(kept(policy, k_times), ElementsAre(0, 6));
}

TEST_F(RetentionTest, ACountThatIsLeftKeepsTheOldest) {
  RetentionPolicy policy;
  policy.monthly = 12;
  EXPECT_THAT(
      kept(policy, {"2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"}),
      ElementsAre(0, 2));
}

TEST_F(RetentionTest, WithinCountsFromTheNewest) {
  RetentionPolicy policy;
  policy.within = std::chrono::hours(24) * 27 + std::chrono::hours(9);
  EXPECT_THAT(kept(policy, k_times), ElementsAre(5, 6));
  policy.within += std::chrono::minutes(30);
  EXPECT_THAT(kept(policy, k_times), ElementsAre(4, 5, 6));
}

TEST_F(RetentionTest, RulesAddUpAndSaySo) {
  RetentionPolicy policy;
  policy.last = 1;
  policy.daily = 2;
  EXPECT_THAT(reasons_to_keep(policy, times(k_times)),
              ElementsAre("", "", "", "", "", "daily", "last, daily"));
}

TEST_F(RetentionTest, DaysAreThoseOfTheHost) {
  RetentionPolicy policy;
  policy.daily = 2;
  const std::vector<std::string> two = {"2026-03-01T02:00:00Z", "2026-03-01T10:00:00Z",
                                        "2026-03-01T20:00:00Z"};
  policy.daily = 1;
  EXPECT_THAT(kept(policy, two), ElementsAre(2));
  policy.daily = 2;
  EXPECT_THAT(kept(policy, two), ElementsAre(0, 2));  // the oldest: a count is left
  set_zone("CST-8");
  EXPECT_THAT(kept(policy, two), ElementsAre(1, 2));  // 20:00Z is the next day there
}

TEST_F(RetentionTest, TheNewestStaysWhateverThePolicy) {
  EXPECT_TRUE(RetentionPolicy{}.empty());
  EXPECT_THAT(reasons_to_keep({}, times({"2026-03-01T02:00:00Z", "2026-02-01T02:00:00Z"})),
              ElementsAre("newest", ""));
  EXPECT_TRUE(reasons_to_keep({}, {}).empty());
}

TEST_F(RetentionTest, OrderOfTheListDoesNotMatter) {
  RetentionPolicy policy;
  policy.last = 1;
  policy.hourly = 1;
  EXPECT_THAT(kept(policy, {"2026-03-02T02:00:00Z", "2026-03-01T02:00:00Z"}), ElementsAre(0));
  // Of one moment the later of the list is the newer.
  EXPECT_THAT(kept(policy, {"2026-03-01T02:00:00Z", "2026-03-01T02:00:00Z"}), ElementsAre(1));
}

}  // namespace
}  // namespace hamal::repository
