// The state database: what is committed is there afterwards, what is not allowed changes nothing.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "hamal/state/checkpoint_json.hpp"
#include "hamal/state/schema.hpp"
#include "hamal/state/state.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/random_id.hpp"

namespace hamal {
namespace {

class StateTest : public testing::Test {
 protected:
  ~StateTest() override { std::filesystem::remove_all(m_directory); }
  std::unique_ptr<State> open() const { return open_state("sqlite://" + path()); }
  // What another version, or something else, did to the database.
  void sql(const std::string& statement) const {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path().c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, statement.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(database);
    sqlite3_close(database);
  }
  std::string path() const { return (m_directory / "lib" / "hamal.db").string(); }

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

  std::filesystem::path m_directory =
      std::filesystem::temp_directory_path() / ("hamal-state-" + random_hex(8));
};

TEST_F(StateTest, InstallationIdIsMadeOnceAndKept) {
  const auto id = open()->installation_id();
  EXPECT_EQ(id.size(), 36U);
  EXPECT_EQ(open()->installation_id(), id);
}

TEST_F(StateTest, FilesArePrivate) {
  open();
  struct stat status {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  ASSERT_EQ(::stat(m_directory.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
}

TEST_F(StateTest, CheckpointSurvivesReopeningWithAllItsFields) {
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

TEST_F(StateTest, IdentityIsAllFourParts) {
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

TEST_F(StateTest, CommitRemovesTheMarkInTheSameTransaction) {
  const auto state = open();
  state->mark_in_progress(mark());
  const auto found = state->find_in_progress(mark().identity);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->mode, SyncMode::incremental);
  EXPECT_EQ(found->plan_path, "/plans/1");
  EXPECT_EQ(state->list_in_progress().size(), 1U);
  state->commit_checkpoint(checkpoint());
  EXPECT_FALSE(state->find_in_progress(mark().identity));
}

TEST_F(StateTest, WhatIsFinishedOfARunSurvivesReopening) {
  InProgress made = mark();
  made.target_created = true;
  open()->mark_in_progress(made);
  EXPECT_TRUE(open()->find_in_progress(made.identity)->finished.empty());
  const std::vector<Extent> finished{{0, 4096, ExtentKind::data},
                                     {1ULL << 40, 512, ExtentKind::data}};
  open()->record_finished(made.identity, finished);
  const auto found = open()->find_in_progress(made.identity);
  EXPECT_EQ(found->finished, finished);
  EXPECT_TRUE(found->target_created);
  EXPECT_EQ(found->plan_path, made.plan_path);
}

TEST_F(StateTest, ProgressOfARunThatWasForgottenIsRefused) {
  const auto state = open();
  try {
    state->record_finished(mark().identity, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::busy);
  }
}

// More is copied than needed, never less.
TEST_F(StateTest, DamagedProgressCountsAsNothingFinished) {
  open()->mark_in_progress(mark());
  for (const char* damaged : {"0+", "x", "0+4096 ", "0+4096 0+4096", "8192+1 0+1", "0+0", "-1+5",
                              "18446744073709551615+9", "0+1,2+1"}) {
    sql("UPDATE in_progress SET finished = '" + std::string(damaged) + "'");
    EXPECT_TRUE(open()->find_in_progress(mark().identity)->finished.empty()) << damaged;
  }
}

TEST_F(StateTest, AReleaseStaysUntilTheNextCommit) {
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

TEST_F(StateTest, AMarkThatIsClearedLeavesTheCheckpoint) {
  const auto state = open();
  state->commit_checkpoint(checkpoint());
  state->mark_in_progress(mark());
  EXPECT_EQ(open()->find_in_progress(mark().identity)->restore_path, "/srv/x.raw.hamal-restore");
  EXPECT_TRUE(state->clear_in_progress(mark().identity));
  EXPECT_FALSE(open()->find_in_progress(mark().identity));
  EXPECT_EQ(open()->find_checkpoint(mark().identity)->generation, 1U);
  EXPECT_FALSE(state->clear_in_progress(mark().identity));
}

TEST_F(StateTest, TheKeyOfDiskFlagsIsMadeOnceAndKept) {
  const std::string key = open()->disk_flag_key();
  EXPECT_EQ(key.size(), 64U);
  EXPECT_EQ(open()->disk_flag_key(), key);
}

TEST_F(StateTest, ADatabaseOfVersion1IsMigratedWithWhatItHolds) {
  std::filesystem::create_directories(std::filesystem::path(path()).parent_path());
  for (const char* statement : k_schema) {
    sql(statement);
  }
  sql("INSERT INTO meta (key, value) VALUES ('schema_version', '1')");
  sql("INSERT INTO checkpoints VALUES ('p','v','d','t','n','c','s',7,512,'w','u')");
  sql("INSERT INTO in_progress VALUES ('p','v','d','t','full','','c','s','/plan','now')");
  const auto state = open();
  const DiskIdentity identity{"p", "v", "d", "t"};
  EXPECT_EQ(state->find_checkpoint(identity)->generation, 7U);
  EXPECT_EQ(state->find_checkpoint(identity)->disk_flag, "");
  EXPECT_EQ(state->find_in_progress(identity)->plan_path, "/plan");
  EXPECT_FALSE(state->find_in_progress(identity)->target_created);
  EXPECT_EQ(state->find_in_progress(identity)->restore_path, "");
  state->record_finished(identity, {{0, 512, ExtentKind::data}});
  EXPECT_EQ(open()->find_in_progress(identity)->finished.size(), 1U);
  EXPECT_TRUE(state->list_runs().empty());
}

TEST_F(StateTest, GenerationMustFollowTheStoredOne) {
  const auto state = open();
  state->commit_checkpoint(checkpoint(1));
  state->mark_in_progress(mark());
  for (const std::uint64_t wrong : {0U, 1U, 3U}) {
    try {
      state->commit_checkpoint(checkpoint(wrong));
      FAIL() << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::busy);
    }
  }
  EXPECT_EQ(state->find_checkpoint(checkpoint().identity)->generation, 1U);
  EXPECT_TRUE(state->find_in_progress(mark().identity)) << "a refused commit changed something";
  state->commit_checkpoint(checkpoint(2));
}

TEST_F(StateTest, ForgettingRemovesCheckpointAndMark) {
  const auto state = open();
  state->commit_checkpoint(checkpoint());
  state->mark_in_progress(mark());
  EXPECT_TRUE(state->forget_checkpoint(checkpoint().identity));
  EXPECT_FALSE(state->find_checkpoint(checkpoint().identity));
  EXPECT_FALSE(state->find_in_progress(checkpoint().identity));
  EXPECT_FALSE(state->forget_checkpoint(checkpoint().identity));
}

TEST_F(StateTest, SnapshotRecordsAreReplacedAndRemoved) {
  const auto state = open();
  state->put_snapshot({"lab", "vm-1", "s1", "intended", "t0", ""});
  state->put_snapshot({"lab", "vm-1", "s1", "created", "t0", "{}"});
  ASSERT_EQ(state->list_snapshots().size(), 1U);
  EXPECT_EQ(state->list_snapshots()[0].state, "created");
  EXPECT_EQ(state->list_snapshots()[0].vm_id, "vm-1");
  state->remove_snapshot("lab", "s1");
  EXPECT_TRUE(state->list_snapshots().empty());
}

TEST_F(StateTest, RunsAreReplacedAndRemovedByJobPlatformAndVm) {
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

TEST_F(StateTest, TwoWritersWaitForEachOther) {
  open();
  const auto commit_all = [&](const char* disk) {
    const auto state = open();
    for (std::uint64_t generation = 1; generation <= 20; ++generation) {
      Checkpoint c = checkpoint(generation);
      c.identity.disk_id = disk;
      state->commit_checkpoint(c);
    }
  };
  std::jthread other(commit_all, "vdb");
  commit_all("vdc");
  other.join();
  EXPECT_EQ(open()->list_checkpoints().size(), 2U);
}

TEST_F(StateTest, ManyProcessesMayOpenANewDatabaseAtOnce) {
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        open()->installation_id();
        ::_exit(0);
      } catch (const Error&) {
        ::_exit(1);
      }
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
}

TEST_F(StateTest, DamagedDatabaseIsNamedAndNotTouched) {
  std::filesystem::create_directories(m_directory / "lib");
  std::ofstream(path()) << std::string(8192, 'x');
  try {
    open();
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("damaged"), std::string::npos) << error.what();
    EXPECT_FALSE(error.transient());
  }
  EXPECT_EQ(std::filesystem::file_size(path()), 8192U);
}

TEST(StateConnection, OnlySqliteWithAnAbsolutePath) {
  for (const char* bad : {"postgresql://db/hamal", "sqlite://relative.db", "", "hamal.db"}) {
    try {
      open_state(bad);
      FAIL() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage) << bad;
    }
  }
}

TEST(CheckpointJson, RoundTrip) {
  Checkpoint c;
  c.identity = {"lab", "vm", "vda", "file:/x"};
  c.change_id = "b";
  c.generation = 3;
  c.size = 1ULL << 44;
  const auto back = parse_checkpoint(to_json(c), "t");
  EXPECT_EQ(back.identity, c.identity);
  EXPECT_EQ(back.generation, 3U);
  EXPECT_EQ(back.size, c.size);
}

TEST(CheckpointJson, ATargetInProgressSaysSoAndIsReadAllTheSame) {
  Checkpoint c;
  c.generation = 3;
  InProgress mark;
  mark.started = "2026-11-22T21:24:35Z";
  const std::string json = to_json(c, mark, true);
  EXPECT_NE(
      json.find(
          R"("state":"in progress","in_progress":{"started":"2026-11-22T21:24:35Z","can_roll_back":true})"),
      std::string::npos)
      << json;
  EXPECT_EQ(parse_checkpoint(json, "t").generation, 3U);
}

TEST(CheckpointJson, ForeignTextIsRefusedWithItsFieldNamed) {
  const std::string good = to_json(Checkpoint{});
  const auto without = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  const std::pair<std::string, std::string> cases[] = {
      {"", "not a JSON object"},
      {"[]", "not a JSON object"},
      {"{}", "\"format\""},
      {without("hamal-checkpoint", "hamal-snapshot"), "its format is"},
      {without("\"version\":1", "\"version\":2"), "newer hamal"},
      {without("\"size\":0", "\"size\":-1"), "\"size\""},
      {without("\"generation\":0", "\"generation\":\"0\""), "\"generation\""},
      {without("\"change_id\":\"\"", "\"change_id\":null"), "\"change_id\""},
  };
  for (const auto& [text, expected] : cases) {
    try {
      parse_checkpoint(text, "ck.json");
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace hamal
