// [mass]: what is an address of a console, and what is refused.
#include "hamal/mass/settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hamal/util/error.hpp"

namespace hamal::mass {
namespace {

using ::testing::HasSubstr;

Config config_of(const std::string& endpoint) {
  Config config;
  config.mass.mass_endpoint = endpoint;
  config.mass.auth_key = parse_secret("key");
  config.mass.hyper_exporter_id = "proxy-1";
  return config;
}

std::string refusal(const Config& config) {
  try {
    console_settings(config);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "taken";
}

TEST(Settings, ThePathOfTheAddressIsTheBase) {
  EXPECT_EQ(console_settings(config_of("https://c:8443")).base, "https://c:8443/hypermotion/v1");
  EXPECT_EQ(console_settings(config_of("https://c/")).base, "https://c/hypermotion/v1");
  EXPECT_EQ(console_settings(config_of("https://c/x/hypermotion/v1/")).base,
            "https://c/x/hypermotion/v1");
}

TEST(Settings, NothingButHttpsIsSpoken) {
  for (const char* wrong : {"http://c/hypermotion/v1", "c", "HTTP://c", "ftp://c"}) {
    EXPECT_THAT(refusal(config_of(wrong)), HasSubstr("is not https://")) << wrong;
  }
  for (const char* wrong : {"https://", "https:///x", "https://u:p@c", "https://c?x", "https://c#x",
                            "https://c/a b", "https://c/\n"}) {
    EXPECT_THAT(refusal(config_of(wrong)), HasSubstr("is not an address")) << wrong;
  }
}

TEST(Settings, WhoWeAreIsNeeded) {
  Config config = config_of("https://c");
  config.mass.auth_key = parse_secret("two words");
  EXPECT_THAT(refusal(config), HasSubstr("[mass] auth_key"));
  config.mass.auth_key = {};
  EXPECT_THAT(refusal(config), HasSubstr("[mass] auth_key"));
  config = config_of("https://c");
  for (const std::string& wrong :
       {std::string(), std::string("a/b"), std::string(".."), std::string(65, 'a')}) {
    config.mass.hyper_exporter_id = wrong;
    EXPECT_THAT(refusal(config), HasSubstr("[mass] hyper_exporter_id")) << wrong;
  }
}

}  // namespace
}  // namespace hamal::mass
