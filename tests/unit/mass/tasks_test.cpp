// Tasks from the console: one that is wrong spoils no other, and what is not known is refused.
#include "hamal/mass/tasks.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hamal/util/error.hpp"

namespace hamal::mass {
namespace {

using ::testing::HasSubstr;

TaskList parse(const std::string& tasks) {
  return parse_tasks(
      fmt::format(R"({{"server_time": "2026-11-29T12:00:00Z", "tasks": [{}]}})", tasks));
}

std::string task(const std::string& more = "") {
  return R"({"id": "t-1", "kind": "sync", "platform": "p", "vm": "v", "target": "file:/x")" +
         (more.empty() ? "" : ", " + more) + "}";
}

TEST(Tasks, AreParsed) {
  const TaskList list = parse(task(R"("quiesce": "try", "expires": "2026-11-29T13:00:00Z")"));
  ASSERT_EQ(list.entries.size(), 1U);
  ASSERT_TRUE(list.entries[0].task) << list.entries[0].problem;
  const Task& parsed = *list.entries[0].task;
  EXPECT_EQ(parsed.id, "t-1");
  EXPECT_EQ(parsed.target, "file:/x");
  EXPECT_EQ(parsed.quiesce, "try");
  EXPECT_EQ(*parsed.expires - list.server_time, std::chrono::hours(1));
}

TEST(Tasks, WhatIsWrongIsRefusedByItself) {
  const auto problem = [](const std::string& wrong) {
    const TaskList list = parse(wrong + R"(, {"id": "good", "kind": "sync", "platform": "p",
        "vm": "v", "target": "t"})");
    EXPECT_EQ(list.entries.size(), 2U);
    EXPECT_TRUE(list.entries.back().task);
    return list.entries.front().problem;
  };
  EXPECT_THAT(problem(R"({"id": "t-1"})"), HasSubstr("\"kind\" is missing"));
  EXPECT_THAT(problem(task(R"("shell": "rm")")), HasSubstr("\"shell\" is not known"));
  EXPECT_THAT(problem(task(R"("quiesce": true)")), HasSubstr("\"quiesce\" must be a string"));
  EXPECT_THAT(problem(task(R"("quiesce": "maybe")")), HasSubstr("is not no, try or require"));
  EXPECT_THAT(problem(task(R"("expires": "soon")")), HasSubstr("is no time"));
  const std::string with =
      R"({{"id": "t-1", "kind": "{}", "platform": "p", "vm": {}, "target": "t"}})";
  EXPECT_THAT(problem(fmt::format(fmt::runtime(with), "delete", "\"v\"")),
              HasSubstr("is not sync"));
  EXPECT_THAT(problem(fmt::format(fmt::runtime(with), "sync", "\"\"")),
              HasSubstr("must not be empty"));
  EXPECT_THAT(problem(fmt::format(fmt::runtime(with), "sync", "\"a\\nb\"")),
              HasSubstr("control characters"));
  EXPECT_THAT(problem(fmt::format(fmt::runtime(with), "sync", "[]")),
              HasSubstr("must be a string"));
  EXPECT_THAT(
      problem(fmt::format(fmt::runtime(with), "sync", "\"" + std::string(1025, 'v') + "\"")),
      HasSubstr("is longer than"));
}

TEST(Tasks, WithoutAnIdTheyCannotEvenBeRefused) {
  const TaskList list = parse(R"(1, {}, {"id": 7}, {"id": "../x"}, {"id": ""})");
  EXPECT_TRUE(list.entries.empty());
  EXPECT_EQ(list.nameless.size(), 5U);
}

TEST(Tasks, DeliveredTwiceInOneListTheyAreOne) {
  EXPECT_EQ(parse(task() + ", " + task()).entries.size(), 1U);
}

TEST(Tasks, AListThatIsNoneIsAnError) {
  for (const char* wrong :
       {"", "[]", "{}", R"({"tasks": []})", R"({"server_time": "2026-11-29T12:00:00Z"})",
        R"({"server_time": "2026-11-29T12:00:00Z", "tasks": {}})"}) {
    EXPECT_THROW(parse_tasks(wrong), Error) << wrong;
  }
}

}  // namespace
}  // namespace hamal::mass
