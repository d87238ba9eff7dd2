// The console's tasks in the state: begun once, over once, told in order. On every database.
#include <gtest/gtest.h>

#include "hamal/state/state.hpp"
#include "state_databases.hpp"

namespace hamal::testing {
namespace {

class StateTasks : public ::testing::TestWithParam<StateKind> {
 protected:
  void SetUp() override {
    if (const std::string why = why_not(GetParam()); !why.empty()) {
      GTEST_SKIP() << why;
    }
    m_database = make_database(GetParam());
    m_state = m_database->open();
  }
  TaskState& tasks() { return m_state->tasks(); }

  static TaskRecord task(const std::string& id, const std::string& run = "r-1") {
    return {.proxy = "p",
            .id = id,
            .job = "j",
            .platform = "lab",
            .vm_id = "v",
            .vm_name = "web's",
            .run_id = run,
            .started = "2026-11-29T12:00:00Z"};
  }
  static TaskReport report(const std::string& task, const std::string& key) {
    return {
        .number = 0, .proxy = "p", .task = task, .key = key, .body = "{\"of\": \"" + key + "\"}"};
  }

  std::unique_ptr<StateDatabase> m_database;
  std::unique_ptr<State> m_state;
};

TEST_P(StateTasks, ATaskIsBegunOnceByWhomeverAndSurvivesReopening) {
  EXPECT_FALSE(tasks().knows_task("p", "t"));
  EXPECT_TRUE(tasks().begin_task(task("t")));
  EXPECT_FALSE(tasks().begin_task(task("t", "r-2")));
  const auto other = m_database->open();
  EXPECT_FALSE(other->tasks().begin_task(task("t", "r-3")));
  EXPECT_TRUE(other->tasks().knows_task("p", "t"));
  EXPECT_FALSE(other->tasks().knows_task("another", "t"));
  const auto begun = other->tasks().begun_tasks("p");
  ASSERT_EQ(begun.size(), 1U);
  EXPECT_EQ(begun[0].run_id, "r-1");
  EXPECT_EQ(begun[0].vm_name, "web's");
  EXPECT_TRUE(other->tasks().begun_tasks("another").empty());
}

TEST_P(StateTasks, ATaskIsOverOnceWithOneReport) {
  tasks().begin_task(task("t"));
  EXPECT_TRUE(tasks().end_task(report("t", "k-1")));
  EXPECT_FALSE(tasks().end_task(report("t", "k-2")));
  EXPECT_FALSE(tasks().begin_task(task("t")));
  EXPECT_TRUE(tasks().begun_tasks("p").empty());
  ASSERT_EQ(tasks().undelivered_reports("p").size(), 1U);
  EXPECT_EQ(tasks().undelivered_reports("p")[0].key, "k-1");
}

TEST_P(StateTasks, OneThatWasRefusedIsKnownToo) {
  EXPECT_TRUE(tasks().end_task(report("t", "k")));
  EXPECT_TRUE(tasks().knows_task("p", "t"));
  EXPECT_FALSE(tasks().begin_task(task("t")));
}

TEST_P(StateTasks, ReportsStayInOrderUntilTheyAreForgotten) {
  for (const char* id : {"c", "a", "b"}) {
    tasks().end_task(report(id, std::string("k-") + id));
  }
  auto reports = m_database->open()->tasks().undelivered_reports("p");
  ASSERT_EQ(reports.size(), 3U);
  EXPECT_EQ(reports[0].task, "c");
  EXPECT_EQ(reports[1].task, "a");
  EXPECT_EQ(reports[2].body, "{\"of\": \"k-b\"}");
  tasks().forget_report(reports[0]);
  tasks().end_task(report("d", "k-d"));
  reports = tasks().undelivered_reports("p");
  ASSERT_EQ(reports.size(), 3U);
  EXPECT_EQ(reports[0].task, "a");
  EXPECT_EQ(reports[2].task, "d");
}

// Break it: forget what was begun, or what was not told of yet, and it would be run or told again.
TEST_P(StateTasks, OnlyWhatIsOverAndToldIsForgotten) {
  constexpr const char* k_past = "2020-01-01T00:00:00Z";
  constexpr const char* k_future = "2999-01-01T00:00:00Z";
  tasks().begin_task(task("begun"));
  tasks().end_task(report("untold", "k-1"));
  tasks().begin_task(task("told"));
  const TaskReport told = report("told", "k-2");
  tasks().end_task(told);
  tasks().forget_report(told);
  EXPECT_EQ(tasks().prune_tasks(k_past), 0U);
  EXPECT_TRUE(tasks().knows_task("p", "told"));
  EXPECT_EQ(tasks().prune_tasks(k_future), 1U);
  EXPECT_FALSE(tasks().knows_task("p", "told"));
  EXPECT_TRUE(tasks().knows_task("p", "begun"));
  EXPECT_TRUE(tasks().knows_task("p", "untold"));
}

// When they ended is not known: their time begins with the first pruning.
TEST_P(StateTasks, WhatAnOlderHamalEndedIsKeptForAsLong) {
  m_database->sql(
      "INSERT INTO tasks (proxy, id, state, job, platform, vm_id, vm_name, run_id, started) VALUES "
      "('p','old','over','j','l','v','n','r','2020-01-01T00:00:00Z')");
  EXPECT_EQ(tasks().prune_tasks("2021-01-01T00:00:00Z"), 0U);
  EXPECT_TRUE(tasks().knows_task("p", "old"));
  EXPECT_EQ(tasks().prune_tasks("2999-01-01T00:00:00Z"), 1U);
}

INSTANTIATE_TEST_SUITE_P(Databases, StateTasks, ::testing::ValuesIn(k_state_kinds),
                         [](const auto& parameter) { return to_string(parameter.param); });

}  // namespace
}  // namespace hamal::testing
