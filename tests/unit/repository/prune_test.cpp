// Prune on a repository that nobody else works on, step by step beside sessions that are open, and
// from wherever an earlier one stopped. What interleaves freely is in simulation_test.cpp.
#include "hamal/repository/prune.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hamal/repository/prune_round.hpp"
#include "hamal/store/directory_store.hpp"
#include "small_writer.hpp"
#include "util/temporary_directory.hpp"

namespace hamal::repository {
namespace {

using test::Blocks;
using test::SmallWriter;

const VmName k_vm{"lab", "web01"};

class PruneTest : public testing::Test {
 protected:
  PruneTest() {
    auto store = open_directory_store("dir:repo", (m_directory / "repo").string(), m_cancel);
    init_repository(*store, {});
    m_repository = open_repository(std::move(store), Config{});
    m_writer = std::make_unique<SmallWriter>(*m_repository, m_directory / "layer");
  }

  ObjectStore& store() { return m_repository->store(); }
  KeepingContext context() { return {*m_repository, m_log, m_cancel, system_clock(), 2}; }

  void write(const Blocks& blocks, const VmName& vm = k_vm) {
    const auto generation = m_writer->run(
        vm, [&](const Blocks& /*before*/) { return blocks; }, [](auto&&...) {});
    ASSERT_TRUE(generation);
    m_written[slot_key(vm, *generation)] = blocks;
  }
  SessionObject open_session(std::uint64_t generation) {
    SessionObject session{random_session_id(), slot_key(k_vm, generation), "2026-01-01T00:00:00Z",
                          "other"};
    store().put_if_absent(session_key(session.id), bytes_of(to_text(session)));
    return session;
  }

  /// The generations that are visible, each of which must hold what was written.
  std::vector<std::uint64_t> visible(const VmName& vm = k_vm) {
    std::vector<std::uint64_t> generations;
    for (const Manifest& version : m_repository->visible_versions(vm)) {
      generations.push_back(version.generation);
      EXPECT_EQ(SmallWriter::read_blocks(*m_repository, version.disks.front()),
                m_written.at(slot_key(vm, version.generation)));
    }
    return generations;
  }
  std::vector<std::string> list(const std::string& prefix) {
    std::vector<std::string> keys;
    store().list(prefix, [&](const ObjectInfo& object) { keys.push_back(object.key); });
    return keys;
  }
  static PruneOptions keep_last(unsigned count) {
    PruneOptions options;
    options.keep.last = count;
    return options;
  }

  hamal::test::TemporaryDirectory m_directory;
  CancelToken m_cancel;
  Logger m_log;
  std::unique_ptr<Repository> m_repository;
  std::unique_ptr<SmallWriter> m_writer;
  std::map<std::string, Blocks> m_written;
};

TEST_F(PruneTest, ThePlanSaysWhatGoesAndChangesNothing) {
  write({1, 2, 3, 4});
  write({1, 2, 3, 5});
  const auto before = list("");
  const PrunePlan plan = plan_prune(context(), keep_last(1));
  EXPECT_EQ(list(""), before);
  ASSERT_EQ(plan.versions.size(), 2U);
  EXPECT_EQ(plan.versions[0].why, "");
  EXPECT_EQ(plan.versions[1].why, "last");
  EXPECT_EQ(plan.round.versions, std::set{slot_key(k_vm, 1)});
  // Three blocks of the first pack are those of the second version, too.
  EXPECT_TRUE(plan.round.packs.empty());
  EXPECT_GT(plan.kept_bytes, 0U);
}

TEST_F(PruneTest, DropsVersionsAndDeletesWhatOnlyTheyNeed) {
  write({1, 2, 3, 4});
  write({5, 6, 7, 8});
  write({5, 6, 7, 9});
  const PrunePlan plan = plan_prune(context(), keep_last(1));
  const PruneReport report = prune(context(), keep_last(1));
  EXPECT_EQ(report.dropped, (std::set{slot_key(k_vm, 1), slot_key(k_vm, 2)}));
  EXPECT_EQ(report.packs, 1U);
  EXPECT_GT(plan.freed_bytes, 0U);
  EXPECT_EQ(visible(), std::vector<std::uint64_t>{3});
  EXPECT_EQ(list("packs/").size(), 2U);
  EXPECT_EQ(list("staged/").size(), 0U);
  // The slots are tombstones: never free again.
  EXPECT_EQ(list("versions/").size(), 3U);
  EXPECT_EQ(m_repository->slots(k_vm).size(), 3U);
  write({5, 6, 7, 10});
  EXPECT_EQ(visible(), (std::vector<std::uint64_t>{3, 4}));
}

TEST_F(PruneTest, ASecondRunFindsNothingToDo) {
  write({1, 2, 3, 4});
  write({5, 6, 7, 8});
  prune(context(), keep_last(1));
  const auto before = list("");
  const PruneReport report = prune(context(), keep_last(1));
  EXPECT_EQ(report.packs + report.objects + report.dropped.size(), 0U);
  EXPECT_EQ(list(""), before);
}

TEST_F(PruneTest, KeepsTheNewestVersionUnlessItIsNamed) {
  write({1, 2, 3, 4});
  PruneOptions options;
  EXPECT_EQ(prune(context(), options).dropped.size(), 0U);
  options.drop = {slot_key(k_vm, 1)};
  EXPECT_EQ(prune(context(), options).dropped.size(), 1U);
  EXPECT_TRUE(visible().empty());
  EXPECT_TRUE(list("packs/").empty());
  EXPECT_TRUE(list("layers/").empty());
  EXPECT_TRUE(list("sessions/").empty());
  EXPECT_THROW(prune(context(), options), Error);  // it is dropped already
}

TEST_F(PruneTest, OnlyOfTheMachinesAskedFor) {
  const VmName other{"lab", "db01"};
  for (std::uint64_t i = 1; i < 4; ++i) {
    write({i, i, i, i});
    write({i, 0, 0, i}, other);
  }
  PruneOptions options = keep_last(1);
  options.vms = {other};
  prune(context(), options);
  EXPECT_EQ(visible().size(), 3U);
  EXPECT_EQ(visible(other).size(), 1U);
}

TEST_F(PruneTest, WhatAnotherMachineSharesStays) {
  const VmName other{"lab", "db01"};
  write({1, 2, 3, 4});
  write({4, 4, 4, 4}, other);
  write({5, 6, 7, 8});
  prune(context(), keep_last(1));
  EXPECT_EQ(visible(other), std::vector<std::uint64_t>{1});
}

TEST_F(PruneTest, WaitsForSessionsThatBeganBefore) {
  write({1, 2, 3, 4});
  write({5, 6, 7, 8});
  const SessionObject open = open_session(3);
  const auto waits = prune(context(), keep_last(1)).waits;
  ASSERT_TRUE(waits);
  EXPECT_EQ(waits->kind(), ErrorKind::busy);
  EXPECT_THAT(waits->what(), testing::HasSubstr("other"));
  EXPECT_EQ(visible(), std::vector<std::uint64_t>{2}) << "dropped from the moment it is condemned";
  EXPECT_EQ(list("packs/").size(), 2U) << "but nothing is deleted";
  EXPECT_EQ(plan_prune(context(), keep_last(1)).pending_rounds, std::vector<std::uint64_t>{1});
  // A session that begins now knows what is condemned: it is not waited for.
  const SessionObject later = open_session(4);
  store().put_if_absent(open.slot,
                        bytes_of(to_text(Tombstone{}, open.slot, m_repository->keyring())));
  const PruneReport report = prune(context(), keep_last(1));
  EXPECT_EQ(report.packs, 1U);
  EXPECT_EQ(list("packs/").size(), 1U);
  EXPECT_FALSE(store().head(later.slot));
  // What the first session left is condemned by a round of its own, and that one has to wait.
  EXPECT_THAT(report.waits.value().what(), testing::HasSubstr(to_hex(later.id)));
}

TEST_F(PruneTest, EndsASessionThatIsSilentForTooLong) {
  write({1, 2, 3, 4});
  write({5, 6, 7, 8});
  const SessionObject open = open_session(3);
  store().put(beat_key(open.id), {});
  PruneOptions options = keep_last(1);
  options.abort_after = std::chrono::hours(1);
  EXPECT_TRUE(prune(context(), options).waits);
  EXPECT_FALSE(store().head(open.slot));
  options.abort_after = std::chrono::seconds(0);
  const PruneReport report = prune(context(), options);
  EXPECT_EQ(report.aborted, 1U);
  EXPECT_EQ(list("packs/").size(), 1U);
  const std::string slot = store().get(open.slot, 4096);
  EXPECT_EQ(std::get<Tombstone>(parse_slot(slot, open.slot, m_repository->keyring())).why,
            Tombstone::Why::aborted);
  // The next run cleans up after it.
  prune(context(), options);
  EXPECT_FALSE(store().head(session_key(open.id)));
  EXPECT_FALSE(store().head(beat_key(open.id)));
}

// Break it: look at the session's own object alone.
TEST_F(PruneTest, ABeatIsASignOfLife) {
  write({1, 2, 3, 4});
  write({5, 6, 7, 8});
  const SessionObject open = open_session(3);
  store().put(beat_key(open.id), {});
  const auto put_hours_ago = [&](const std::string& key) {
    std::filesystem::last_write_time(
        m_directory / "repo" / key,
        std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  };
  put_hours_ago(session_key(open.id));
  PruneOptions options = keep_last(1);
  options.abort_after = std::chrono::hours(1);
  EXPECT_TRUE(prune(context(), options).waits);
  EXPECT_FALSE(store().head(open.slot));
  put_hours_ago(beat_key(open.id));
  EXPECT_EQ(prune(context(), options).aborted, 1U);
  EXPECT_TRUE(store().head(open.slot));
}

TEST_F(PruneTest, WhatASessionCommittedMeanwhileNeedsIsSpared) {
  write({1, 2, 3, 4});
  write({5, 6, 7, 8});
  const PrunePlan plan = plan_prune(context(), keep_last(1));
  ASSERT_EQ(plan.round.packs.size(), 1U);
  // It shares blocks 1 and 2 of version 1, which goes: condemned when it is on its way.
  m_writer->run(
      k_vm,
      [&](const Blocks& /*before*/) {
        return Blocks{1, 2, 7, 8};
      },
      [&](const std::string& slot, const SessionId& /*id*/, const Blocks& blocks) {
        m_written[slot] = blocks;
        ASSERT_TRUE(put_condemned(context(), 1, plan.round));
        EXPECT_TRUE(prune(context(), keep_last(1)).waits);
      });
  prune(context(), keep_last(2));
  EXPECT_EQ(visible(), (std::vector<std::uint64_t>{2, 3}));
  // And is shared on: its session's object says that it may be.
  const std::size_t packs = list("packs/").size();
  write({1, 2, 1, 2});
  EXPECT_EQ(list("packs/").size(), packs);
}

TEST_F(PruneTest, NothingIsSharedThatIsCondemned) {
  write({1, 2, 3, 4});
  write({5, 6, 7, 8});
  const SessionObject open = open_session(3);
  EXPECT_TRUE(prune(context(), keep_last(1)).waits);
  store().put_if_absent(open.slot,
                        bytes_of(to_text(Tombstone{}, open.slot, m_repository->keyring())));
  write({1, 2, 3, 4});
  EXPECT_EQ(list("packs/").size(), 3U);
  prune(context(), keep_last(2));
  EXPECT_EQ(visible(), (std::vector<std::uint64_t>{2, 4}));
}

TEST_F(PruneTest, AStoredVerdictCountsAndNotANewOne) {
  write({1, 2, 3, 4});
  write({5, 6, 7, 8});
  const PrunePlan plan = plan_prune(context(), keep_last(1));
  ASSERT_TRUE(put_condemned(context(), 1, plan.round));
  CondemnedRound verdict;
  verdict.versions = plan.round.versions;
  const std::string key = verdict_key(1);
  store().put_if_absent(key, bytes_of(to_text(verdict, key, m_repository->keyring())));
  PruneReport report;
  finish_round(context(), keep_last(1), 1, report);
  EXPECT_EQ(report.packs, 0U);
  EXPECT_TRUE(store().head(done_key(1)));
  // The pack is a candidate of the next round.
  EXPECT_EQ(prune(context(), keep_last(1)).packs, 1U);
}

TEST_F(PruneTest, RefusesToDeleteWhenItCannotReadWhatIsNeeded) {
  write({1, 2, 3, 4});
  write({5, 6, 7, 8});
  const auto layers = m_repository->visible_versions(k_vm).back().disks.front().layers;
  store().remove(layers.front().key);
  const auto before = list("");
  EXPECT_THROW(prune(context(), keep_last(1)), ObjectMissing);
  EXPECT_EQ(list(""), before);
  // What is lost can be dropped.
  PruneOptions options;
  options.drop = {slot_key(k_vm, 2)};
  prune(context(), options);
  EXPECT_EQ(visible(), std::vector<std::uint64_t>{1});
}

TEST_F(PruneTest, ADirectoryHasNoLocksToExtend) {
  write({1, 2, 3, 4});
  PruneOptions options = keep_last(1);
  options.extend_locks = std::chrono::hours(1);
  EXPECT_THROW(prune(context(), options), Error);
}

}  // namespace
}  // namespace hamal::repository
