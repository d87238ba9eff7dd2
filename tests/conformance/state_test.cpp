// The state: what is committed is there afterwards, what is not allowed changes nothing. On every
// database, and on one whose tables are those of the next version.
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "hamal/state/state.hpp"
#include "hamal/util/error.hpp"
#include "state_databases.hpp"

namespace hamal::testing {
namespace {

class StateTest : public ::testing::TestWithParam<StateKind> {
 protected:
  void SetUp() override {
    if (const std::string why = why_not(GetParam()); !why.empty()) {
      GTEST_SKIP() << why;
    }
    m_database = make_database(GetParam());
  }
  std::unique_ptr<State> open() const { return m_database->open(); }
  void sql(const std::string& statement) const { m_database->sql(statement); }

  static Checkpoint checkpoint(std::uint64_t generation = 1) {
    Checkpoint c;
    c.identity = {"lab", "vm-1", "vda", "file:/srv/'quoted' \"x\".raw"};
    c.vm_name = "web01";
    c.change_id = "bitmap-7";
    c.snapshot_id = "snap-7";
    c.generation = generation;
    c.size = 16ULL << 40;
    c.committed = "2026-11-22T21:24:35.123Z";
    c.target_uri = "file:/srv/x.raw";
    return c;
  }
  static InProgress mark() {
    return {checkpoint().identity,
            SyncMode::incremental,
            "b",
            "c",
            "s",
            "/plans/1",
            "now",
            false,
            {},
            "/srv/x.raw.hamal-restore"};
  }

  static void expect_busy(const std::function<void()>& call) {
    try {
      call();
      ADD_FAILURE() << "was done";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::busy) << error.what();
    }
  }

  std::unique_ptr<StateDatabase> m_database;
};

TEST_P(StateTest, InstallationIdIsMadeOnceAndKept) {
  const auto id = open()->installation_id();
  EXPECT_EQ(id.size(), 36U);
  EXPECT_EQ(open()->installation_id(), id);
}

TEST_P(StateTest, CheckpointSurvivesReopeningWithAllItsFields) {
  open()->commit_checkpoint(checkpoint());
  const auto found = open()->find_checkpoint(checkpoint().identity);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->change_id, "bitmap-7");
  EXPECT_EQ(found->snapshot_id, "snap-7");
  EXPECT_EQ(found->generation, 1U);
  EXPECT_EQ(found->size, 16ULL << 40);
  EXPECT_EQ(found->committed, "2026-11-22T21:24:35.123Z");
  EXPECT_EQ(found->target_uri, "file:/srv/x.raw");
  EXPECT_EQ(found->vm_name, "web01");
}

TEST_P(StateTest, IdentityIsAllFourParts) {
  const auto state = open();
  state->commit_checkpoint(checkpoint());
  for (int part = 0; part < 4; ++part) {
    DiskIdentity other = checkpoint().identity;
    (part == 0   ? other.platform
     : part == 1 ? other.vm_id
     : part == 2 ? other.disk_id
                 : other.target) += "x";
    EXPECT_FALSE(state->find_checkpoint(other)) << part;
  }
}

TEST_P(StateTest, CommitRemovesTheMarkInTheSameTransaction) {
  const auto state = open();
  state->mark_in_progress(mark(), {});
  const auto found = state->find_in_progress(mark().identity);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->mode, SyncMode::incremental);
  EXPECT_EQ(found->plan_path, "/plans/1");
  EXPECT_EQ(state->list_in_progress().size(), 1U);
  state->commit_checkpoint(checkpoint());
  EXPECT_FALSE(state->find_in_progress(mark().identity));
}

// Two runs that both found the target free: the second must not begin, whichever disk is whose.
// Break it: leave out require_no_other() in mark_in_progress().
TEST_P(StateTest, ATargetThatAnotherDiskHasBegunOnIsRefused) {
  const auto state = open();
  state->mark_in_progress(mark(), {});
  InProgress other = mark();
  other.identity.vm_id += "x";
  expect_busy([&] { state->mark_in_progress(other, {}); });
  EXPECT_TRUE(state->find_in_progress(mark().identity));
  EXPECT_FALSE(state->find_in_progress(other.identity));
  state->commit_checkpoint(checkpoint());
  expect_busy([&] { state->mark_in_progress(other, {}); });
  state->mark_in_progress(other, {mark().identity});
  EXPECT_FALSE(state->find_checkpoint(checkpoint().identity));
  EXPECT_TRUE(state->find_in_progress(other.identity));
}

// Forced onto the target under a run that goes on: what that run wrote is no longer all there is.
// Break it: leave out require_no_other() in commit_checkpoint().
TEST_P(StateTest, ATargetThatAnotherDiskWasForcedOntoIsNotCommitted) {
  const auto state = open();
  state->mark_in_progress(mark(), {});
  InProgress other = mark();
  other.identity.disk_id += "x";
  state->mark_in_progress(other, {mark().identity});
  expect_busy([&] { state->commit_checkpoint(checkpoint()); });
  EXPECT_FALSE(state->find_checkpoint(checkpoint().identity));
}

TEST_P(StateTest, WhatIsFinishedOfARunSurvivesReopening) {
  InProgress made = mark();
  made.target_created = true;
  open()->mark_in_progress(made, {});
  EXPECT_TRUE(open()->find_in_progress(made.identity)->finished.empty());
  const std::vector<Extent> finished{{0, 4096, ExtentKind::data},
                                     {1ULL << 40, 512, ExtentKind::data}};
  open()->record_finished(made.identity, finished);
  const auto found = open()->find_in_progress(made.identity);
  EXPECT_EQ(found->finished, finished);
  EXPECT_TRUE(found->target_created);
  EXPECT_EQ(found->plan_path, made.plan_path);
}

TEST_P(StateTest, ProgressOfARunThatWasForgottenIsRefused) {
  const auto state = open();
  expect_busy([&] { state->record_finished(mark().identity, {}); });
}

// More is copied than needed, never less.
TEST_P(StateTest, DamagedProgressCountsAsNothingFinished) {
  open()->mark_in_progress(mark(), {});
  for (const char* damaged : {"0+", "x", "0+4096 ", "0+4096 0+4096", "8192+1 0+1", "0+0", "-1+5",
                              "18446744073709551615+9", "0+1,2+1"}) {
    sql("UPDATE in_progress SET finished = '" + std::string(damaged) + "'");
    EXPECT_TRUE(open()->find_in_progress(mark().identity)->finished.empty()) << damaged;
  }
}

TEST_P(StateTest, AReleaseStaysUntilTheNextCommit) {
  const auto state = open();
  EXPECT_FALSE(state->release_target(checkpoint().identity, "then"));
  state->commit_checkpoint(checkpoint());
  EXPECT_TRUE(state->release_target(checkpoint().identity, "then"));
  EXPECT_EQ(open()->find_checkpoint(checkpoint().identity)->released, "then");
  Checkpoint next = checkpoint(2);
  next.disk_flag = "samples";
  state->commit_checkpoint(next);
  const auto found = open()->find_checkpoint(checkpoint().identity);
  EXPECT_EQ(found->released, "");
  EXPECT_EQ(found->disk_flag, "samples");
}

TEST_P(StateTest, AMarkThatIsClearedLeavesTheCheckpoint) {
  const auto state = open();
  state->commit_checkpoint(checkpoint());
  state->mark_in_progress(mark(), {});
  EXPECT_EQ(open()->find_in_progress(mark().identity)->restore_path, "/srv/x.raw.hamal-restore");
  EXPECT_TRUE(state->clear_in_progress(mark().identity));
  EXPECT_FALSE(open()->find_in_progress(mark().identity));
  EXPECT_EQ(open()->find_checkpoint(mark().identity)->generation, 1U);
  EXPECT_FALSE(state->clear_in_progress(mark().identity));
}

TEST_P(StateTest, TheKeyOfDiskFlagsIsMadeOnceAndKept) {
  const std::string key = open()->disk_flag_key();
  EXPECT_EQ(key.size(), 64U);
  EXPECT_EQ(open()->disk_flag_key(), key);
}

TEST_P(StateTest, GenerationMustFollowTheStoredOne) {
  const auto state = open();
  state->commit_checkpoint(checkpoint(1));
  state->mark_in_progress(mark(), {});
  for (const std::uint64_t wrong : {0U, 1U, 3U}) {
    expect_busy([&] { state->commit_checkpoint(checkpoint(wrong)); });
  }
  EXPECT_EQ(state->find_checkpoint(checkpoint().identity)->generation, 1U);
  EXPECT_TRUE(state->find_in_progress(mark().identity)) << "a refused commit changed something";
  state->commit_checkpoint(checkpoint(2));
}

TEST_P(StateTest, ForgettingRemovesCheckpointAndMark) {
  const auto state = open();
  state->commit_checkpoint(checkpoint());
  state->mark_in_progress(mark(), {});
  EXPECT_TRUE(state->forget_checkpoint(checkpoint().identity));
  EXPECT_FALSE(state->find_checkpoint(checkpoint().identity));
  EXPECT_FALSE(state->find_in_progress(checkpoint().identity));
  EXPECT_FALSE(state->forget_checkpoint(checkpoint().identity));
}

TEST_P(StateTest, SnapshotRecordsAreReplacedAndRemoved) {
  const auto state = open();
  state->put_snapshot({"lab", "vm-1", "s1", "intended", "t0", ""});
  state->put_snapshot({"lab", "vm-1", "s1", "created", "t0", "{}"});
  ASSERT_EQ(state->list_snapshots().size(), 1U);
  EXPECT_EQ(state->list_snapshots()[0].state, "created");
  EXPECT_EQ(state->list_snapshots()[0].vm_id, "vm-1");
  state->remove_snapshot("lab", "s1");
  EXPECT_TRUE(state->list_snapshots().empty());
}

TEST_P(StateTest, RunsAreReplacedAndRemovedByJobPlatformAndVm) {
  RunRecord run{.job = "j",
                .platform = "p",
                .vm_id = "v",
                .vm_name = "web",
                .state = "running",
                .run_id = "r",
                .started = "2026-11-29T10:00:00.000Z",
                .ended = {},
                .last_success = {},
                .mode = {},
                .bytes = 0,
                .duration_ms = 0,
                .failures = 2,
                .last_error = "it broke",
                .next_run = {}};
  const auto state = open();
  state->put_run(run);
  run.bytes = 1ULL << 40U;
  run.failures = 0;
  run.mode = "full";
  state->put_run(run);
  run.vm_id = "other";
  state->put_run(run);
  const auto runs = open()->list_runs();
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[1].vm_id, "v");
  EXPECT_EQ(runs[1].bytes, 1ULL << 40U);
  EXPECT_EQ(runs[1].failures, 0U);
  EXPECT_EQ(runs[1].mode, "full");
  EXPECT_EQ(runs[1].last_error, "it broke");
  state->remove_run(run);
  ASSERT_EQ(open()->list_runs().size(), 1U);
  EXPECT_EQ(open()->list_runs()[0].vm_id, "v");
}

TEST_P(StateTest, TwoWritersWaitForEachOther) {
  open();
  const auto commit_all = [&](const char* disk) {
    const auto state = open();
    for (std::uint64_t generation = 1; generation <= 20; ++generation) {
      Checkpoint c = checkpoint(generation);
      c.identity.disk_id = disk;
      c.identity.target = "dir:/backups";  // of all disks
      state->cache_checkpoint(c);
      c.identity.target = std::string("file:/srv/") + disk;
      state->commit_checkpoint(c);
    }
  };
  std::jthread other(commit_all, "vdb");
  commit_all("vdc");
  other.join();
  EXPECT_EQ(open()->list_checkpoints().size(), 4U);
}

INSTANTIATE_TEST_SUITE_P(Databases, StateTest, ::testing::ValuesIn(k_state_kinds),
                         [](const auto& parameter) { return to_string(parameter.param); });

}  // namespace
}  // namespace hamal::testing
