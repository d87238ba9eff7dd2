// Trimming, case, escapes, random ids, time stamps and suggestions.
#include "hamal/util/text.hpp"

#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "hamal/util/nearest.hpp"
#include "hamal/util/random_id.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

TEST(Text, TrimsWhiteSpaceAtTheEndsOnly) {
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(trim(""), "");
}

TEST(Text, LowersAsciiAlone) {
  EXPECT_EQ(to_lower("AbZ09_\xc3\x84"), "abz09_\xc3\x84");
}

TEST(Text, EscapesWhatWouldMoveACursorAndKeepsUtf8) {
  EXPECT_EQ(escape_control(std::string_view("a\nb\tc\x1b[2J\x7f\0z", 12)),
            "a\\nb\\tc\\x1b[2J\\x7f\\x00z");
  EXPECT_EQ(escape_control("Zürich"), "Zürich");
}

TEST(Nearest, FindsTypingErrors) {
  const std::vector<std::string> names{"interval", "log_dir", "DEFAULT", "debug"};
  EXPECT_EQ(nearest_name("intervall", names), "interval");
  EXPECT_EQ(nearest_name("intreval", names), "interval");
  EXPECT_EQ(nearest_name("default", names), "DEFAULT");
  EXPECT_EQ(nearest_name("dbug", names), "debug");
}

TEST(Nearest, SuggestsNothingFarAway) {
  EXPECT_EQ(nearest_name("hostname", {"interval", "log_dir"}), "");
  EXPECT_EQ(nearest_name("ca", {"vm"}), "");
  EXPECT_EQ(nearest_name("", {"interval"}), "");
  EXPECT_EQ(nearest_name(std::string(100'000, 'x'), {std::string(100'000, 'x')}), "");
}

TEST(RandomId, UuidsAreVersion4AndDiffer) {
  const std::regex form("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = random_uuid();
    EXPECT_TRUE(std::regex_match(id, form)) << id;
    seen.insert(id);
  }
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(RandomId, HexHasAsManyDigitsAsAsked) {
  EXPECT_EQ(random_hex(0), "");
  EXPECT_EQ(random_hex(7).size(), 7U);
  EXPECT_EQ(random_hex(8).find_first_not_of("0123456789abcdef"), std::string::npos);
}

TEST(Time, Rfc3339IsUtcWithMilliseconds) {
  using namespace std::chrono;
  const auto at = [](long long ms) { return system_clock::time_point(milliseconds(ms)); };
  EXPECT_EQ(rfc3339(at(1'795'382'675'123)), "2026-11-22T21:24:35.123Z");
  EXPECT_EQ(rfc3339(at(0)), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(rfc3339(at(-1)), "1969-12-31T23:59:59.999Z");
}

TEST(Time, SteadyTimeAdvances) {
  const auto first = hamal::system_clock().steady();
  EXPECT_GE(hamal::system_clock().steady(), first);
  EXPECT_GT(hamal::system_clock().wall().time_since_epoch().count(), 0);
}

}  // namespace
}  // namespace hamal
