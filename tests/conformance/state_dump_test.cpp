// A state that moves: from every database into every other, with all it knows.
//
// Break it: leave a column out of dump_tables(), or let load() take a state that has something.
#include <gtest/gtest.h>

#include "hamal/state/state.hpp"
#include "hamal/util/error.hpp"
#include "state_databases.hpp"

namespace hamal::testing {
namespace {

class StateDumps : public ::testing::TestWithParam<std::tuple<StateKind, StateKind>> {
 protected:
  void SetUp() override {
    for (const StateKind kind : {std::get<0>(GetParam()), std::get<1>(GetParam())}) {
      if (const std::string why = why_not(kind); !why.empty()) {
        GTEST_SKIP() << why;
      }
    }
    m_old_database = make_database(std::get<0>(GetParam()));
    m_new_database = make_database(std::get<1>(GetParam()));
    m_old = m_old_database->open();
    m_new = m_new_database->open();
  }

  static Checkpoint checkpoint(const std::string& disk) {
    Checkpoint c;
    c.identity = {"lab", "vm-1", disk, "file:/srv/'quoted' \"x\"-" + disk};
    c.vm_name = "wéb";
    c.change_id = "bitmap-7";
    c.snapshot_id = "snap-7";
    c.generation = 1;
    c.size = 16ULL << 40;
    c.committed = "2026-11-22T21:24:35.123Z";
    c.target_uri = "file:/srv/x.raw";
    c.disk_flag = "0 aa\n8 bb\n";
    c.proxy = "proxy-1";
    return c;
  }
  static InProgress mark() {
    return {.identity = checkpoint("vdb").identity,
            .mode = SyncMode::incremental,
            .base_change_id = "b",
            .change_id = "c",
            .snapshot_id = "s",
            .plan_path = "/plans/1",
            .started = "now",
            .target_created = true,
            .finished = {{0, 4096, ExtentKind::data}},
            .restore_path = "/srv/x.hamal-restore",
            .proxy = "proxy-1"};
  }

  void fill(State& state) {
    state.installation_id();
    state.disk_flag_key();
    state.commit_checkpoint(checkpoint("vda"));
    state.commit_checkpoint(checkpoint("vdb"));
    state.release_target(checkpoint("vda").identity, "then");
    state.mark_in_progress(mark(), {});
    state.put_snapshot({"lab", "vm-1", "s", "created", "now", "{\"a\": 1}"});
    RunRecord run;
    run.job = "j";
    run.platform = "lab";
    run.vm_id = "vm-1";
    run.bytes = 1ULL << 40;
    run.last_error = "it's gone";
    state.put_run(run);
    TaskRecord task;
    task.proxy = "p";
    task.id = "t-1";
    state.tasks().begin_task(task);
    state.tasks().end_task({.number = 0, .proxy = "p", .task = "t-0", .key = "k", .body = "{}"});
  }

  std::unique_ptr<StateDatabase> m_old_database;
  std::unique_ptr<StateDatabase> m_new_database;
  std::unique_ptr<State> m_old;
  std::unique_ptr<State> m_new;
};

TEST_P(StateDumps, WhatOneKnowsTheOtherKnowsAfterwards) {
  fill(*m_old);
  m_new->load(parse_state_dump(to_json(m_old->dump()), "test"));
  EXPECT_EQ(m_new->installation_id(), m_old->installation_id());
  EXPECT_EQ(m_new->disk_flag_key(), m_old->disk_flag_key());
  EXPECT_EQ(m_new->dump(), m_old->dump());
  const auto found = m_new->find_checkpoint(checkpoint("vda").identity);
  EXPECT_EQ(found->size, 16ULL << 40);
  EXPECT_EQ(found->vm_name, "wéb");
  EXPECT_EQ(found->disk_flag, "0 aa\n8 bb\n");
  EXPECT_EQ(found->released, "then");
  EXPECT_EQ(found->proxy, "proxy-1");
  const auto moved = m_new->find_in_progress(mark().identity);
  EXPECT_EQ(moved->finished, mark().finished);
  EXPECT_TRUE(moved->target_created);
  EXPECT_EQ(moved->restore_path, "/srv/x.hamal-restore");
  EXPECT_EQ(m_new->find_run("j", "lab", "vm-1")->bytes, 1ULL << 40);
  EXPECT_TRUE(m_new->tasks().knows_task("p", "t-0"));
  EXPECT_EQ(m_new->tasks().begun_tasks("p").size(), 1U);
  EXPECT_EQ(m_new->tasks().undelivered_reports("p").size(), 1U);
  Checkpoint next = checkpoint("vda");
  next.generation = 2;
  m_new->commit_checkpoint(next);
}

TEST_P(StateDumps, AStateThatHasSomethingIsLeftAsItIs) {
  fill(*m_old);
  m_new->put_snapshot({"lab", "vm-2", "other", "created", "now", "{}"});
  const StateDump before = m_new->dump();
  try {
    m_new->load(m_old->dump());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::failed);
    EXPECT_NE(std::string(error.what()).find("not empty"), std::string::npos) << error.what();
  }
  EXPECT_EQ(m_new->dump(), before);
}

// What that installation has made meanwhile carries its mark.
// Break it: let load_rows() not ask.
TEST_P(StateDumps, AnotherInstallationsIsLeftAsItIs) {
  fill(*m_old);
  const std::string before = m_new->installation_id();
  try {
    m_new->load(m_old->dump());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::failed);
    EXPECT_NE(std::string(error.what()).find(before), std::string::npos) << error.what();
  }
  EXPECT_EQ(m_new->installation_id(), before);
}

TEST_P(StateDumps, AnEmptyOneMovesToo) {
  m_new->load(m_old->dump());
  EXPECT_TRUE(m_new->list_checkpoints().empty());
}

INSTANTIATE_TEST_SUITE_P(
    Databases, StateDumps,
    ::testing::Combine(::testing::Values(StateKind::sqlite, StateKind::postgresql),
                       ::testing::Values(StateKind::sqlite, StateKind::postgresql_tomorrow)),
    [](const auto& parameter) {
      return to_string(std::get<0>(parameter.param)) + "_to_" +
             to_string(std::get<1>(parameter.param));
    });

}  // namespace
}  // namespace hamal::testing
