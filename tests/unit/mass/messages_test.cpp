// What is said to the console keeps the contract whatever it is made of.
#include "hamal/mass/messages.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace hamal::mass {
namespace {

using nlohmann::json;

TEST(Messages, RegistrationHasPublicAddressesOnlyWhenAsked) {
  Registration registration{.version = "0.1.0",
                            .installation_id = "i",
                            .host = "",
                            .addresses = {"192.0.2.1"},
                            .public_addresses = {},
                            .platforms = {{"web", "qemu"}}};
  json said = json::parse(to_json(registration));
  EXPECT_FALSE(said.contains("public_addresses"));
  EXPECT_EQ(said["host"], "-");
  EXPECT_EQ(said["platforms"][0]["type"], "qemu");
  registration.public_addresses = std::vector<std::string>{};
  said = json::parse(to_json(registration));
  EXPECT_EQ(said["public_addresses"], json::array());
}

TEST(Messages, HeartbeatHasAllItsListsWhenThereIsNothingToSay) {
  const json said = json::parse(to_json(Heartbeat{}));
  EXPECT_FALSE(said.contains("clock_skew_seconds"));
  for (const char* list : {"disks", "running", "errors"}) {
    EXPECT_EQ(said[list], json::array());
  }
}

TEST(Messages, WhatIsTooLongOrNoTextIsCutAndReplaced) {
  Heartbeat heartbeat;
  const std::string long_text = std::string(4095, 'x') + "ä and more";
  heartbeat.errors.push_back(
      {.job = "j", .platform = "p", .vm = "\xff", .failures = 3, .error = long_text});
  heartbeat.running.push_back(
      {.job = {}, .task = "t-1", .platform = "p", .vm = "v", .started = "2026-11-29T12:00:00Z"});
  heartbeat.clock_skew_seconds = -3;
  const json said = json::parse(to_json(heartbeat));
  EXPECT_EQ(said["errors"][0]["error"], std::string(4095, 'x'));
  EXPECT_EQ(said["errors"][0]["vm"], "\uFFFD");
  EXPECT_EQ(said["running"][0]["task"], "t-1");
  EXPECT_FALSE(said["running"][0].contains("job"));
  EXPECT_EQ(said["clock_skew_seconds"], -3);
}

}  // namespace
}  // namespace hamal::mass
