// Calendars, windows, and what is due: every time is given.
#include "hamal/period/schedule.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <ctime>

#include "hamal/util/time.hpp"

namespace hamal::period {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

class ScheduleTest : public testing::Test {
 protected:
  void SetUp() override { zone("UTC"); }
  void TearDown() override { zone("UTC"); }
  static void zone(const char* name) {
    ::setenv("TZ", name, 1);
    ::tzset();
  }
};

TimePoint at(const std::string& text) {
  return *parse_rfc3339(text);
}

std::string next(const std::string& calendar, const std::string& after) {
  const auto parsed = Calendar::parse(calendar);
  return parsed ? rfc3339(parsed->next(at(after))).substr(0, 16) : "none";
}

TEST_F(ScheduleTest, TheNextTimeOfACalendar) {
  EXPECT_EQ(next("*/15 * * * *", "2026-11-29T10:07:00Z"), "2026-11-29T10:15");
  EXPECT_EQ(next("*/15 * * * *", "2026-11-29T10:15:00Z"), "2026-11-29T10:30");
  EXPECT_EQ(next("30 2 * * *", "2026-12-31T02:30:01Z"), "2027-01-01T02:30");
  EXPECT_EQ(next("daily", "2026-11-29T10:00:00Z"), "2026-11-30T00:00");
  EXPECT_EQ(next("weekly", "2026-11-30T00:00:00Z"), "2026-12-07T00:00");
  EXPECT_EQ(next("0 4 * * mon-fri", "2026-11-27T05:00:00Z"), "2026-11-30T04:00");
  EXPECT_EQ(next("0 4 * * 7", "2026-11-27T05:00:00Z"), "2026-11-29T04:00");
  EXPECT_EQ(next("0 0 29 feb *", "2026-11-27T05:00:00Z"), "2028-02-29T00:00");
  EXPECT_EQ(next("5/20 1,3 * * *", "2026-11-29T01:25:00Z"), "2026-11-29T01:45");
}

TEST_F(ScheduleTest, WhenBothDaysAreRestrictedEitherIsEnough) {
  EXPECT_EQ(next("0 0 13 * fri", "2026-11-28T00:00:00Z"), "2026-12-04T00:00");
  EXPECT_EQ(next("0 0 13 * fri", "2026-12-11T00:00:00Z"), "2026-12-13T00:00");
}

TEST_F(ScheduleTest, WhatIsNoCalendar) {
  for (const char* text : {"", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *",
                           "* * * * 8", "5-1 * * * *", "*/0 * * * *", "a * * * *", "* * * * * *",
                           "0 0 30 2 *", "-1 * * * *", "1, * * * *", "*/ * * * *", "often"}) {
    EXPECT_FALSE(Calendar::parse(text)) << text;
  }
}

TEST_F(ScheduleTest, WhereTheClocksAreChanged) {
  zone("Europe/Berlin");
  if (next("30 2 * * *", "2026-07-01T10:00:00Z") != "2026-07-02T00:30") {
    GTEST_SKIP() << "no time zones here";
  }
  // 02:30 does not exist on 28 March 2027, and there are two of them on 25 October 2026.
  EXPECT_EQ(next("30 2 * * *", "2027-03-27T12:00:00Z"), "2027-03-28T01:30");
  const std::string once = next("30 2 * * *", "2026-10-24T12:00:00Z");
  EXPECT_EQ(next("30 2 * * *", once + ":00Z"), "2026-10-26T01:30");
}

TEST_F(ScheduleTest, WindowsMayGoOverMidnight) {
  const auto night = *TimeWindow::parse("22:00-06:00");
  EXPECT_TRUE(night.contains(at("2026-11-29T23:00:00Z")));
  EXPECT_TRUE(night.contains(at("2026-11-29T05:59:59Z")));
  EXPECT_FALSE(night.contains(at("2026-11-29T06:00:00Z")));
  EXPECT_EQ(night.opens(at("2026-11-29T10:00:00Z")), at("2026-11-29T22:00:00Z"));
  const auto noon = *TimeWindow::parse("12:00-13:00");
  EXPECT_EQ(noon.opens(at("2026-11-29T13:00:00Z")), at("2026-11-30T12:00:00Z"));
  for (const char* text : {"", "12:00", "12-13", "24:00-01:00", "12:60-13:00", "1:0-2:00",
                           "12:00-12:00", "25:00-26:00", "-1:00-02:00"}) {
    EXPECT_FALSE(TimeWindow::parse(text)) << text;
  }
}

class DueTest : public ScheduleTest {
 protected:
  DueTest() {
    job.interval = hours(1);
    run.started = "2026-11-29T10:00:00.000Z";
    run.ended = "2026-11-29T10:10:00.000Z";
    run.state = k_done;
  }
  Due due(const std::string& now) const { return judge(job, &run, at(now)); }

  Job job;
  RunRecord run;
};

TEST_F(DueTest, AMachineThatWasNeverRunIsDueAtOnce) {
  EXPECT_TRUE(judge(job, nullptr, at(run.started)).now);
  job.interval.reset();
  job.schedule = Calendar::parse("daily");
  EXPECT_TRUE(judge(job, nullptr, at(run.started)).now);
}

TEST_F(DueTest, AnIntervalCountsFromBeginToBegin) {
  EXPECT_FALSE(due("2026-11-29T10:59:59Z").now);
  EXPECT_EQ(due("2026-11-29T10:30:00Z").when, at("2026-11-29T11:00:00Z"));
  EXPECT_TRUE(due("2026-11-29T11:00:00Z").now);
}

TEST_F(DueTest, WhatWasMissedIsMadeUpForOnce) {
  EXPECT_TRUE(due("2026-12-05T03:00:00Z").now);
  run.started = "2026-12-05T03:00:00.000Z";
  run.ended = "2026-12-05T03:01:00.000Z";
  EXPECT_FALSE(due("2026-12-05T03:02:00Z").now);
  job.interval.reset();
  job.schedule = Calendar::parse("hourly");
  EXPECT_TRUE(due("2026-12-05T09:10:00Z").now);
  run.started = "2026-12-05T09:10:00.000Z";
  run.ended = "2026-12-05T09:11:00.000Z";
  EXPECT_FALSE(due("2026-12-05T09:12:00Z").now);
}

TEST_F(DueTest, FailuresBackOffUpToAnHour) {
  run.state = k_failed;
  const auto delay = [&](std::uint64_t failures) {
    run.failures = failures;
    return due("2026-11-29T10:10:00Z").when - at(run.ended);
  };
  EXPECT_EQ(delay(1), minutes(1));
  EXPECT_EQ(delay(2), minutes(2));
  EXPECT_EQ(delay(4), minutes(8));
  EXPECT_EQ(delay(7), hours(1));
  EXPECT_EQ(delay(1'000'000'000), hours(1));
  job.interval = seconds(10);
  EXPECT_EQ(delay(1), seconds(10));
  EXPECT_EQ(delay(3), seconds(40));
}

TEST_F(DueTest, ABusyOneIsTriedAgainSoonWhateverFailedBefore) {
  run.state = k_busy;
  run.failures = 9;
  EXPECT_EQ(due("2026-11-29T10:10:00Z").when, at("2026-11-29T10:11:00Z"));
}

TEST_F(DueTest, AnInterruptedOneIsDueAtOnce) {
  for (const char* state : {k_running, k_interrupted}) {
    run.state = state;
    EXPECT_TRUE(due("2026-11-29T10:10:01Z").now) << state;
  }
}

TEST_F(DueTest, AClockThatWasSetBackPutsNothingOff) {
  EXPECT_TRUE(due("2025-01-01T00:00:00Z").now);
}

TEST_F(DueTest, OutsideOfItsWindowsNothingIsDue) {
  job.windows = {*TimeWindow::parse("22:00-23:00"), *TimeWindow::parse("04:00-05:00")};
  EXPECT_FALSE(due("2026-11-29T15:00:00Z").now);
  EXPECT_EQ(due("2026-11-29T15:00:00Z").when, at("2026-11-29T22:00:00Z"));
  EXPECT_TRUE(due("2026-11-29T22:30:00Z").now);
  EXPECT_EQ(due("2026-11-29T23:30:00Z").when, at("2026-11-30T04:00:00Z"));
}

}  // namespace
}  // namespace hamal::period
