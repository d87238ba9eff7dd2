// Times as texts: what is one, and what is not.
#include "hamal/util/time.hpp"

#include <gtest/gtest.h>

namespace hamal {
namespace {

using namespace std::chrono_literals;

const auto k_when = std::chrono::system_clock::time_point(
                        std::chrono::sys_days(std::chrono::year(2026) / 11 / 25)) +
                    1h + 5min + 17s;

TEST(TimeTest, ParsesWhatItWrites) {
  EXPECT_EQ(rfc3339(k_when + 123ms), "2026-11-25T01:05:17.123Z");
  EXPECT_EQ(parse_rfc3339(rfc3339(k_when + 123ms)), k_when + 123ms);
}

TEST(TimeTest, TakesAnyFractionAndOffset) {
  EXPECT_EQ(parse_rfc3339("2026-11-25T01:05:17Z"), k_when);
  EXPECT_EQ(parse_rfc3339("2026-11-25T01:05:17.25Z"), k_when + 250ms);
  EXPECT_EQ(parse_rfc3339("2026-11-25T01:05:17.000000001Z"), k_when + 1ns);
  EXPECT_EQ(parse_rfc3339("2026-11-25T03:05:17+02:00"), k_when);
  EXPECT_EQ(parse_rfc3339("2026-11-24T22:35:17.5-02:30"), k_when + 500ms);
  EXPECT_EQ(parse_rfc3339("2026-11-25T01:04:60Z"), k_when - 17s) << "a leap second";
}

TEST(TimeTest, TakesNothingElse) {
  for (const char* text : {"",
                           "2026-11-25",
                           "2026-11-25T01:05:17",
                           "2026-11-25T01:05:17Z ",
                           " 2026-11-25T01:05:17Z",
                           "2026-13-25T01:05:17Z",
                           "2026-00-25T01:05:17Z",
                           "2026-02-30T01:05:17Z",
                           "2026-11-25T24:05:17Z",
                           "2026-11-25T01:60:17Z",
                           "2026-11-25T01:05:61Z",
                           "2026-11-25T01:05:17,5Z",
                           "2026-11-25T01:05:17.Z",
                           "2026-11-25T01:05:17.x5Z",
                           "2026-11-25T01:05:17.1234567890Z",
                           "2026-11-25t01:05:17Z",
                           "x026-11-25T01:05:17Z",
                           "-026-11-25T01:05:17Z",
                           "2026-11-25T01:05:17+0100",
                           "2026-11-25T01:05:17+24:00",
                           "2026-11-25T01:05:17+01:60",
                           "2026-11-25T01:05:17+01:00Z",
                           "2026-11-25T01:05:17+x"}) {
    EXPECT_EQ(parse_rfc3339(text), std::nullopt) << text;
  }
}

// Break it: take the bounds out; 2300 wraps round to a time before 1970.
TEST(TimeTest, FromTheYear1970To2200) {
  EXPECT_EQ(parse_rfc3339("1970-01-01T00:00:00Z"), std::chrono::system_clock::time_point());
  EXPECT_EQ(rfc3339(parse_rfc3339("2200-12-31T23:59:59.999Z").value()), "2200-12-31T23:59:59.999Z");
  for (const char* text :
       {"1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01", "2201-01-01T00:00:00Z",
        "2200-12-31T23:59:59-00:01", "2300-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
        "0000-01-01T00:00:00Z"}) {
    EXPECT_EQ(parse_rfc3339(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace hamal
