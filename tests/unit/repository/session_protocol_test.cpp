// The writer's part of the protocol (hamal-repository(5), SESSIONS) in the real sessions, rule by
// rule; that the rules together are enough is for the model and the simulation to show.
//
// Break it: in UsablePacks::usable() and ask(), leave out any one of what is asked for; in
// register_session() list what is condemned before the session is put, or do not look at the slots
// again; in Repository::newest_with_disk() take a version that is condemned.
#include <algorithm>

#include "hamal/repository/hash.hpp"
#include "hamal/repository/prune_round.hpp"
#include "hamal/repository/session_object.hpp"
#include "repository/session_lab.hpp"

namespace hamal::repository {
namespace {

constexpr std::uint64_t k_size = 1U << 20;

class SessionProtocolTest : public SessionLab {
 protected:
  KeepingContext keeping() { return {*repository, log, cancel, system_clock(), 1}; }
  PackName pack_of(const Manifest& version) const { return {version.session, 0}; }
  /// How many packs a version of that content puts.
  unsigned packs_put(const std::string& snapshot, ByteView disk) {
    const unsigned before = spy.count("packs");
    const Manifest version = commit_full(snapshot, disk);
    EXPECT_EQ(read_back(version.disks[0]), Bytes(disk.begin(), disk.end()));
    return spy.count("packs") - before;
  }
  std::size_t first(const std::string& call) {
    const auto found = std::find_if(spy.calls.begin(), spy.calls.end(),
                                    [&](const std::string& one) { return one.starts_with(call); });
    return static_cast<std::size_t>(found - spy.calls.begin());
  }
  std::size_t count(const std::string& call) {
    return static_cast<std::size_t>(std::count(spy.calls.begin(), spy.calls.end(), call));
  }

  Bytes m_disk = random_bytes(k_size);
};

TEST_F(SessionProtocolTest, ASessionIsPutBeforeItIsKnownWhatIsCondemned) {
  commit_full("s1", m_disk);
  spy.calls.clear();
  begin("s2");
  EXPECT_LT(first("put sessions/"), first("list condemned/"));
  const auto slots = "list " + versions_prefix(vm);
  EXPECT_LT(first(slots), first("put sessions/"));
  // And the slots once more, so that a version that came meanwhile is not missed.
  const auto after =
      std::find(spy.calls.begin() + static_cast<std::ptrdiff_t>(first("list condemned/")),
                spy.calls.end(), slots);
  EXPECT_NE(after, spy.calls.end());
}

TEST_F(SessionProtocolTest, AVersionThatComesMeanwhileIsBuiltOn) {
  bool first_session = true;
  spy.before_put = [&](const std::string& key) {
    if (key.starts_with("sessions/") && std::exchange(first_session, false)) {
      // Another host, with a state of its own.
      const auto session = begin_session(
          {*repository, directory / "other", log, cancel, system_clock(), outage_max, 4U << 20, 1},
          vm, "web01", "of-another");
      const auto stage = session->stage(request("c-other", k_size));
      write(*stage, 0, m_disk);
      stage->finish();
      session->commit(document("of-another"));
    }
  };
  const auto session = begin("s1");
  EXPECT_EQ(session->generation(), 2U);
  ASSERT_TRUE(session->base("vda"));
  EXPECT_EQ(session->base("vda")->change_id, "c-other");
}

TEST_F(SessionProtocolTest, WhatIsThereIsShared) {
  commit_full("s1", m_disk);
  EXPECT_EQ(packs_put("s2", m_disk), 0U);
}

TEST_F(SessionProtocolTest, WhatIsCondemnedIsNotShared) {
  const Manifest version = commit_full("s1", m_disk);
  CondemnedRound round;
  round.packs.insert(pack_of(version));
  ASSERT_TRUE(put_condemned(keeping(), 1, round));
  EXPECT_EQ(packs_put("s2", m_disk), 1U);
  // The round is done, and has spared it.
  repository->store().put_if_absent(done_key(1), {});
  EXPECT_EQ(packs_put("s3", m_disk), 0U);
}

TEST_F(SessionProtocolTest, WhatACompactionMovedIsNotShared) {
  const Manifest version = commit_full("s1", m_disk);
  Compaction moved;
  moved.session[0] = std::byte{9};
  moved.packs[pack_of(version)] = {{1U << 30, 0, 16}};  // a record that nobody has
  const std::string key = compaction_key(1);
  repository->store().put_if_absent(key, bytes_of(to_bytes(moved, key, repository->keyring())));
  EXPECT_EQ(packs_put("s2", m_disk), 1U);
}

TEST_F(SessionProtocolTest, WhatAnOpenSessionOfAnotherMachinePutIsNotShared) {
  const VmName mine = std::exchange(vm, {"lab", "vm-2"});
  {
    const auto open = begin("of-another");
    const auto stage = open->stage(request("c", k_size));
    write(*stage, 0, m_disk);
    stage->writer().flush();
  }  // its process ends: what it put is in the cache
  vm = mine;
  EXPECT_EQ(packs_put("s1", m_disk), 1U);
}

TEST_F(SessionProtocolTest, WhatNobodyKnowsTheSessionOfIsNotShared) {
  const Manifest version = commit_full("s1", m_disk);
  repository->store().remove(session_key(version.session));
  EXPECT_EQ(packs_put("s2", m_disk), 1U);
}

TEST_F(SessionProtocolTest, WhatIsNotListedIsNotShared) {
  const Manifest version = commit_full("s1", m_disk);
  repository->store().remove(pack_key(pack_of(version)));
  EXPECT_EQ(packs_put("s2", m_disk), 1U);
}

TEST_F(SessionProtocolTest, NothingIsBuiltOnAVersionThatIsCondemned) {
  commit_full("s1", m_disk);
  commit_full("s2", random_bytes(k_size, 2));
  CondemnedRound round;
  round.versions = {slot_key(vm, 2)};
  ASSERT_TRUE(put_condemned(keeping(), 1, round));
  EXPECT_EQ(begin("s3")->base("vda").value().change_id, "c-s1");
  // Nor once the round is done.
  repository->store().put_if_absent(done_key(1), {});
  EXPECT_EQ(begin("s4")->base("vda").value().change_id, "c-s1");
}

TEST_F(SessionProtocolTest, WhatAnotherPutIntoTheSlotStays) {
  const auto session = begin("s1");
  const auto stage = session->stage(request("c1", k_size));
  write(*stage, 0, m_disk);
  stage->finish();
  // Another version of this machine, by another host.
  const auto other = begin_session(
      {*repository, directory / "other", log, cancel, system_clock(), outage_max, 4U << 20, 1}, vm,
      "web01", "of-another");
  const auto theirs = other->stage(request("c-other", k_size));
  write(*theirs, 0, random_bytes(k_size, 2));
  theirs->finish();
  const Manifest published = other->commit(document("of-another"));
  try {
    session->commit(document("s1"));
    FAIL() << "the slot was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::busy);
  }
  const auto visible = repository->visible_versions(vm);
  ASSERT_EQ(visible.size(), 1U);
  EXPECT_EQ(visible[0].session, published.session);
}

TEST_F(SessionProtocolTest, ASessionOnRecordWhoseSlotSomebodyElseFilledIsNotGoneOnWith) {
  begin("s1")->stage(request("c1", k_size));  // and its process ends
  const auto other = begin_session(
      {*repository, directory / "other", log, cancel, system_clock(), outage_max, 4U << 20, 1}, vm,
      "web01", "of-another");
  other->stage(request("c-other", k_size))->finish();
  other->commit(document("of-another"));
  const auto session = begin("s1");
  EXPECT_FALSE(session->resumed());
  EXPECT_EQ(session->generation(), 2U);
}

}  // namespace
}  // namespace hamal::repository
