// What the console replies: what is taken, and what is refused with which words.
#include "hamal/mass/replies.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/core.h>

#include "hamal/util/error.hpp"

namespace hamal::mass {
namespace {

using ::testing::HasSubstr;

template <typename Parse>
std::string refusal(Parse parse, const std::string& body) {
  try {
    parse(body);
  } catch (const Error& error) {
    return error.what();
  }
  return "taken";
}

TEST(Replies, HeartbeatIsParsed) {
  const auto reply = parse_heartbeat_reply(
      R"({"server_time": "2026-11-29T12:00:00Z", "log_request": {"id": "r-1", "max_bytes": 1000}})");
  EXPECT_EQ(reply.server_time.time_since_epoch(), std::chrono::seconds(1'795'953'600));
  ASSERT_TRUE(reply.log_request);
  EXPECT_EQ(reply.log_request->id, "r-1");
  EXPECT_EQ(reply.log_request->max_bytes, 1000U);
  EXPECT_FALSE(parse_heartbeat_reply(R"({"server_time": "2026-11-29T12:00:00Z"})").log_request);
}

TEST(Replies, FieldsOfANewerConsoleAreIgnored) {
  EXPECT_FALSE(
      parse_heartbeat_reply(R"({"server_time": "2026-11-29T12:00:00Z", "new": {}})").log_request);
}

TEST(Replies, WhatIsWrongIsNamed) {
  const auto of = [](const std::string& body) { return refusal(parse_heartbeat_reply, body); };
  EXPECT_THAT(of(""), HasSubstr("the console's reply to the heartbeat: is not JSON"));
  EXPECT_THAT(of("{}"), HasSubstr("\"server_time\" is missing"));
  EXPECT_THAT(of(R"({"server_time": 7})"), HasSubstr("must be a string"));
  EXPECT_THAT(of(R"({"server_time": "now"})"), HasSubstr("is no time such as"));
  const std::string with = R"({{"server_time": "2026-11-29T12:00:00Z", "log_request": {}}})";
  for (const char* wrong :
       {"1", "{}", R"({"id": "../x", "max_bytes": 1})", R"({"id": "", "max_bytes": 1})",
        R"({"id": "a"})", R"({"id": "a", "max_bytes": -1})", R"({"id": "a", "max_bytes": "1"})"}) {
    EXPECT_THAT(of(fmt::format(fmt::runtime(with), wrong)), HasSubstr("log_request")) << wrong;
  }
}

TEST(Replies, AddressesAreAddresses) {
  EXPECT_EQ(parse_seen_address(R"({"address": "2001:db8::1"})"), "2001:db8::1");
  for (const char* wrong : {R"({"address": ""})", R"({"address": "host"})",
                            R"({"address": "1.2.3"})", R"({"address": "1.2.3.4:5"})", "null"}) {
    EXPECT_THAT(refusal(parse_seen_address, wrong), HasSubstr("public address")) << wrong;
  }
}

TEST(Replies, MappingsAreTakenAsAWholeOrNotAtAll) {
  const auto mappings = parse_host_mappings(
      R"({"mappings": [{"host": "B.example", "addresses": ["192.0.2.1", "2001:db8::1"]},
          {"host": "a", "addresses": ["192.0.2.2"]}]})");
  ASSERT_EQ(mappings.size(), 2U);
  EXPECT_EQ(mappings[0].host, "a");
  EXPECT_EQ(mappings[1].addresses.size(), 2U);
  EXPECT_TRUE(parse_host_mappings(R"({"mappings": []})").empty());
  for (const char* wrong : {"{}", R"({"mappings": {}})", R"({"mappings": [{"host": "a"}]})",
                            R"({"mappings": [{"host": "a", "addresses": []}]})",
                            R"({"mappings": [{"host": "a", "addresses": [1]}]})",
                            R"({"mappings": [{"host": "a", "addresses": ["b"]}]})",
                            R"({"mappings": [{"host": "a b", "addresses": ["192.0.2.1"]}]})",
                            R"({"mappings": [{"host": "a", "addresses": ["192.0.2.1"]},
                         {"host": "A", "addresses": ["192.0.2.2"]}]})"}) {
    EXPECT_THAT(refusal(parse_host_mappings, wrong), HasSubstr("host mappings")) << wrong;
  }
}

TEST(Replies, AProblemIsOneLine) {
  const Problem problem = parse_problem(R"({"error": "busy", "message": "a\nb"})");
  EXPECT_EQ(problem.error, "busy");
  EXPECT_EQ(problem.message, "a\\nb");
  EXPECT_EQ(parse_problem("<html>").error, "");
}

}  // namespace
}  // namespace hamal::mass
