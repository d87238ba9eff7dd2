// The command line of hamal-heartbeat.
#include "hamal-heartbeat/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

HeartbeatRequest parse(std::vector<const char*> words) {
  words.insert(words.begin(), "hamal-heartbeat");
  return parse_heartbeat_options(static_cast<int>(words.size()), words.data());
}

TEST(HeartbeatOptions, OneHeartbeatUnlessAskedForMore) {
  EXPECT_FALSE(parse({}).loop);
  EXPECT_TRUE(parse({"--loop"}).loop);
  EXPECT_TRUE(parse({"--dry-run"}).dry_run);
}

TEST(HeartbeatOptions, ADryRunIsNoLoop) {
  EXPECT_THROW(parse({"--loop", "--dry-run"}), Error);
  EXPECT_THROW(parse({"operand"}), Error);
}

}  // namespace
}  // namespace hamal
