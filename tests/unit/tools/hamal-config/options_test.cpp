// The command line of hamal-config.
#include "hamal-config/options.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

ConfigRequest parse(std::vector<const char*> words) {
  words.insert(words.begin(), "hamal-config");
  return parse_config_options(static_cast<int>(words.size()), words.data());
}

TEST(ConfigOptions, ACommandIsNeeded) {
  EXPECT_THROW(parse({}), Error);
  EXPECT_EQ(parse({"check"}).command, ConfigCommand::check);
  EXPECT_TRUE(parse({"check", "--quiet", "--secrets"}).secrets);
}

TEST(ConfigOptions, GetTakesSectionAndKey) {
  const ConfigRequest request = parse({"get", "job nightly", "target"});
  EXPECT_EQ(request.command, ConfigCommand::get);
  EXPECT_EQ(request.section, "job nightly");
  EXPECT_EQ(request.key, "target");
  EXPECT_THROW(parse({"get", "job nightly"}), Error);
}

// Root that asks leaves no log which the service's user could not write.
TEST(ConfigOptions, AsksWithoutALog) {
  EXPECT_EQ(parse({"check"}).common.log_level, LogLevel::off);
  EXPECT_EQ(parse({"check", "--log-level", "debug"}).common.log_level, LogLevel::debug);
}

}  // namespace
}  // namespace hamal
