// Sizes, durations and percent-encoding, with everything that is none.
#include "hamal/util/units.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace hamal {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Units, SizesArePowersOf1024) {
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("4096"), 4096U);
  EXPECT_EQ(parse_size("512b"), 512U);
  EXPECT_EQ(parse_size("64K"), 65536U);
  EXPECT_EQ(parse_size("64 kB"), 65536U);
  EXPECT_EQ(parse_size("1.5G"), 3ULL << 29U);
  EXPECT_EQ(parse_size("2TiB"), 2ULL << 40U);
  EXPECT_EQ(parse_size("1.5P"), 3ULL << 49U);
  EXPECT_EQ(parse_size("15E"), 15ULL << 60U);
  EXPECT_EQ(parse_size("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
}

TEST(Units, WhatIsNoSizeIsRefused) {
  for (const char* text : {"",     "K",     "-1",   "+1",   " 1",
                           "1.",   ".5G",   "1.5",  "1.5b", "1X",
                           "1KK",  "1KiBs", "1ib",  "16E",  "18446744073709551616",
                           "0x10", "1e3",   "1,5G", "nan",  "15.99999999999E1"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
}

TEST(Units, SizesAreShownShort) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(1023), "1023 B");
  EXPECT_EQ(format_size(1024), "1 KiB");
  EXPECT_EQ(format_size(1536), "1.5 KiB");
  EXPECT_EQ(format_size((1ULL << 20U) - 1), "1 MiB");
  EXPECT_EQ(format_size(std::numeric_limits<std::uint64_t>::max()), "16 EiB");
}

TEST(Units, DurationsCountSecondsUnlessTheySay) {
  EXPECT_EQ(parse_duration("90"), milliseconds(90'000));
  EXPECT_EQ(parse_duration("90s"), milliseconds(90'000));
  EXPECT_EQ(parse_duration("5m"), milliseconds(300'000));
  EXPECT_EQ(parse_duration("24h"), milliseconds(86'400'000));
  EXPECT_EQ(parse_duration("7d"), milliseconds(7 * 86'400'000LL));
  EXPECT_EQ(parse_duration("1.5h"), milliseconds(5'400'000));
  EXPECT_EQ(parse_duration("250ms"), milliseconds(250));
  EXPECT_EQ(parse_duration("0.25"), milliseconds(250));
  for (const char* text : {"", "s", "-1", "1y", "1 m m", "99999999999999999999", "1e9d",
                           "18446744073709551615w", "999999999999w"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

TEST(Units, DurationsAreShownAsClocks) {
  EXPECT_EQ(format_duration(seconds(3725)), "1:02:05");
  EXPECT_EQ(format_duration(seconds(125)), "02:05");
  EXPECT_EQ(format_duration(seconds(0)), "00:00");
  EXPECT_EQ(format_duration(seconds(-5)), "00:00");
  EXPECT_EQ(format_duration(seconds(100 * 3600)), "100:00:00");
}

TEST(Units, PercentEncodingKeepsUnreservedAndAsked) {
  EXPECT_EQ(percent_encode("aZ0-._~"), "aZ0-._~");
  EXPECT_EQ(percent_encode("a b/ä%"), "a%20b%2F%C3%A4%25");
  EXPECT_EQ(percent_encode("/a b", "/"), "/a%20b");
  EXPECT_EQ(percent_encode("%", "%"), "%25") << "a kept % could not be decoded";
}

TEST(Units, BrokenEscapesAreRefused) {
  for (const char* text : {"%", "%4", "a%", "%zz", "%4g", "%00", "a%00b"}) {
    EXPECT_EQ(percent_decode(text), std::nullopt) << text;
  }
  EXPECT_EQ(percent_decode("%2f%2F"), "//");
}

TEST(Units, PercentEncodingRoundTrips) {
  std::mt19937 random(1);  // NOLINT: repeatable on purpose
  for (int i = 0; i < 1000; ++i) {
    std::string text(random() % 20, ' ');
    for (char& c : text) {
      c = static_cast<char>(1 + random() % 255);
    }
    EXPECT_EQ(percent_decode(percent_encode(text, "/:")), text);
  }
}

}  // namespace
}  // namespace hamal
