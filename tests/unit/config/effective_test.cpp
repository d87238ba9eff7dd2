// The configuration as it counts: every key once, its source, and nothing that is secret.
// Break it: show a NamedSection's value without asking whether its key is sensitive.
#include "hamal/config/effective.hpp"

#include <gmock/gmock.h>

#include <algorithm>

#include "hamal/config/keys.hpp"

namespace hamal {
namespace {

EffectiveKey find(const std::vector<EffectiveKey>& keys, const std::string& section,
                  const std::string& key) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const EffectiveKey& one) {
    return one.section == section && one.key == key;
  });
  if (found == keys.end()) {
    ADD_FAILURE() << "no such key: " << section << " " << key;
    return {};
  }
  return *found;
}

TEST(EffectiveConfiguration, HasEveryKeyWithItsDefault) {
  const auto keys = effective_keys(parse_config("", "x.conf"));
  ASSERT_EQ(keys.size(), config_keys().size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(keys[i].key, config_keys()[i].key);
    EXPECT_EQ(keys[i].value, config_keys()[i].fallback);
    EXPECT_FALSE(keys[i].origin.has_value());
    EXPECT_FALSE(keys[i].masked);
  }
}

TEST(EffectiveConfiguration, NamesTheLineThatCounts) {
  const auto keys = effective_keys(
      parse_config("[period]\ninterval = 5\n\ninterval = 7\n[job a]\nvm = web\n", "x.conf"));
  const EffectiveKey interval = find(keys, "period", "interval");
  EXPECT_EQ(interval.value, "7");
  ASSERT_TRUE(interval.origin.has_value());
  EXPECT_EQ(interval.origin->file, "x.conf");
  EXPECT_EQ(interval.origin->line, 4);
  EXPECT_EQ(find(keys, "job a", "vm").origin->line, 6);
}

TEST(EffectiveConfiguration, ShowsNoSecret) {
  const auto keys = effective_keys(
      parse_config("[mass]\nauth_key = hush\n"
                   "[database]\nconnection = postgresql://u:hush@db/x\npassword = hush\n"
                   "[s3 a]\nsecret_key = hush\naccess_key = shown\nsession_token = env:TOKEN\n"
                   "[platform v]\ntype = vmware\nsecret = hush\n",
                   "x.conf"));
  for (const EffectiveKey& one : keys) {
    EXPECT_THAT(one.value, testing::Not(testing::HasSubstr("hush"))) << one.section << one.key;
  }
  EXPECT_TRUE(find(keys, "mass", "auth_key").masked);
  EXPECT_TRUE(find(keys, "database", "connection").masked);
  EXPECT_TRUE(find(keys, "s3 a", "secret_key").masked);
  EXPECT_TRUE(find(keys, "platform v", "secret").masked);
  // Where a secret is may be known.
  EXPECT_EQ(find(keys, "s3 a", "session_token").value, "env:TOKEN");
  EXPECT_EQ(find(keys, "s3 a", "access_key").value, "shown");
}

TEST(EffectiveConfiguration, LeavesOutWhatIsNotKnown) {
  const auto keys = effective_keys(parse_config("[job a]\nnonsense = 1\n", "x.conf"));
  EXPECT_TRUE(std::none_of(keys.begin(), keys.end(),
                           [](const EffectiveKey& one) { return one.key == "nonsense"; }));
}

}  // namespace
}  // namespace hamal
