// Leases in the state: one holder at a time, a token that only grows, and writes that a stale
// holder cannot make. On every database.
//
// Break it: let acquire() take what is held, keep the token when the holder changes, or drop the
// require() of a write in sql_state.cpp, and one of these fails.
#include <gtest/gtest.h>

#include <functional>

#include "hamal/state/lease_keeper.hpp"
#include "hamal/state/open_state.hpp"
#include "hamal/util/boot_clock.hpp"
#include "hamal/util/error.hpp"
#include "state_databases.hpp"

namespace hamal::testing {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds k_hour{3'600'000};
// Has expired as soon as it is there: nothing is waited for.
constexpr milliseconds k_over{-1};

class StateLeases : public ::testing::TestWithParam<StateKind> {
 protected:
  void SetUp() override {
    if (const std::string why = why_not(GetParam()); !why.empty()) {
      GTEST_SKIP() << why;
    }
    m_database = make_database(GetParam());
    m_state = m_database->open();
  }
  LeaseState& leases() { return m_state->leases(); }

  static LeaseOwner owner(const std::string& id, const std::string& scope = {}) {
    return {.id = id, .host = "host of " + id, .proxy = "proxy of " + id, .scope = scope};
  }
  static Checkpoint checkpoint(std::uint64_t generation) {
    Checkpoint c;
    c.identity = {"lab", "vm-1", "vda", "file:/srv/x.raw"};
    c.generation = generation;
    c.proxy = "proxy of a";
    return c;
  }
  static InProgress mark() {
    InProgress m;
    m.identity = checkpoint(1).identity;
    m.proxy = "proxy of a";
    return m;
  }
  static RunRecord run() {
    RunRecord r;
    r.job = "j";
    r.platform = "lab";
    r.vm_id = "vm-1";
    return r;
  }

  static void expect_lost(const std::function<void()>& write) {
    try {
      write();
      ADD_FAILURE() << "it was written";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::busy) << error.what();
      EXPECT_NE(std::string(error.what()).find("host of b"), std::string::npos) << error.what();
    }
  }

  const LeaseKey m_vm{"lab", "vm-1"};
  std::unique_ptr<StateDatabase> m_database;
  std::unique_ptr<State> m_state;
};

TEST_P(StateLeases, WhatIsHeldIsNotTakenAndItsHolderIsNamed) {
  const Lease a = leases().acquire(m_vm, owner("a"), k_hour);
  EXPECT_EQ(a.token.owner, "a");
  EXPECT_EQ(a.token.number, 1U);
  const auto other = m_database->open();
  const Lease b = other->leases().acquire(m_vm, owner("b"), k_hour);
  EXPECT_EQ(b.token, a.token);
  EXPECT_EQ(b.host, "host of a");
  EXPECT_EQ(b.proxy, "proxy of a");
  EXPECT_GT(b.left, milliseconds(3'000'000));
  EXPECT_LE(b.left, k_hour);
  EXPECT_EQ(other->leases().acquire({"lab", "vm-2"}, owner("b"), k_hour).token.owner, "b");
  EXPECT_EQ(other->leases().acquire({"lab2", "vm-1"}, owner("b"), k_hour).token.owner, "b");
}

TEST_P(StateLeases, TheOwnerMayAskAgainAndKeepsItsToken) {
  const Lease first = leases().acquire(m_vm, owner("a"), k_hour);
  EXPECT_EQ(leases().acquire(m_vm, owner("a"), k_hour).token, first.token);
}

TEST_P(StateLeases, WhatHasExpiredIsTakenUnderTheNextToken) {
  const Lease a = leases().acquire(m_vm, owner("a"), k_over);
  const Lease b = leases().acquire(m_vm, owner("b"), k_hour);
  EXPECT_EQ(b.token, (LeaseToken{"b", a.token.number + 1}));
  EXPECT_FALSE(leases().renew(m_vm, a.token, k_hour));
  leases().release(m_vm, a.token);
  EXPECT_EQ(leases().find_lease(m_vm)->token, b.token);
}

TEST_P(StateLeases, OneThatNobodyTookIsRenewedAfterItsTime) {
  const Lease a = leases().acquire(m_vm, owner("a"), k_over);
  EXPECT_TRUE(leases().renew(m_vm, a.token, k_hour));
  EXPECT_EQ(leases().acquire(m_vm, owner("b"), k_hour).token, a.token);
}

TEST_P(StateLeases, OneThatWasReleasedIsFreeAndItsTokenIsNotUsedAgain) {
  const Lease a = leases().acquire(m_vm, owner("a"), k_hour);
  leases().release(m_vm, a.token);
  EXPECT_FALSE(leases().find_lease(m_vm));
  EXPECT_FALSE(leases().renew(m_vm, a.token, k_hour));
  EXPECT_EQ(leases().acquire(m_vm, owner("a"), k_hour).token.number, a.token.number + 1);
}

// Whoever asks holds the kernel lock that the holder would still hold if it lived.
TEST_P(StateLeases, WhatADeadProcessOfThisHostHeldIsTakenAtOnce) {
  const Lease dead = leases().acquire(m_vm, owner("a", "here"), k_hour);
  EXPECT_EQ(leases().acquire(m_vm, owner("b", "there"), k_hour).token, dead.token);
  const Lease next = leases().acquire(m_vm, owner("b", "here"), k_hour);
  EXPECT_EQ(next.token, (LeaseToken{"b", dead.token.number + 1}));
  leases().acquire({"lab", "vm-2"}, owner("a"), k_hour);
  EXPECT_EQ(leases().acquire({"lab", "vm-2"}, owner("b"), k_hour).token.owner, "a");
}

TEST_P(StateLeases, TheHolderWritesUnderItsFence) {
  const Lease a = leases().acquire(m_vm, owner("a"), k_hour);
  leases().fence(m_vm, a.token);
  m_state->mark_in_progress(mark(), {});
  m_state->record_finished(mark().identity, {{0, 512, ExtentKind::data}});
  EXPECT_EQ(m_state->find_in_progress(mark().identity)->proxy, "proxy of a");
  m_state->commit_checkpoint(checkpoint(1));
  m_state->put_run(run());
  EXPECT_EQ(m_state->find_checkpoint(checkpoint(1).identity)->proxy, "proxy of a");
}

TEST_P(StateLeases, AStaleHolderWritesNothingOfTheMachine) {
  const Lease a = leases().acquire(m_vm, owner("a"), k_over);
  leases().fence(m_vm, a.token);
  m_state->commit_checkpoint(checkpoint(1));
  m_state->mark_in_progress(mark(), {});
  m_state->put_snapshot({"lab", "vm-1", "s", "created", "now", "{}"});
  m_state->put_run(run());
  const auto other = m_database->open();
  const Lease b = other->leases().acquire(m_vm, owner("b"), k_hour);
  other->leases().fence(m_vm, b.token);

  const DiskIdentity disk = mark().identity;
  expect_lost([&] { m_state->commit_checkpoint(checkpoint(2)); });
  expect_lost([&] { m_state->cache_checkpoint(checkpoint(2)); });
  expect_lost([&] { m_state->forget_checkpoint(disk); });
  expect_lost([&] { m_state->mark_in_progress(mark(), {}); });
  expect_lost([&] { m_state->record_finished(disk, {{0, 512, ExtentKind::data}}); });
  expect_lost([&] { m_state->clear_in_progress(disk); });
  expect_lost([&] { m_state->release_target(disk, "then"); });
  expect_lost([&] { m_state->put_snapshot({"lab", "vm-1", "t", "created", "now", "{}"}); });
  expect_lost([&] { m_state->remove_snapshot("lab", "s"); });
  expect_lost([&] { m_state->put_run(run()); });
  expect_lost([&] { m_state->remove_run(run()); });
  EXPECT_EQ(other->find_checkpoint(disk)->generation, 1U);
  EXPECT_EQ(other->find_checkpoint(disk)->released, "");
  EXPECT_TRUE(other->find_in_progress(disk)->finished.empty());
  EXPECT_EQ(other->list_snapshots().size(), 1U);
  other->commit_checkpoint(checkpoint(2));
}

// --force is no way into the middle of another proxy's run.
// Break it: leave out require_idle() in mark_in_progress().
TEST_P(StateLeases, ATargetOfAMachineThatIsWorkedOnIsNotGivenUp) {
  InProgress other = mark();
  other.identity.vm_id = "vm-2";
  m_state->mark_in_progress(other, {});
  const Lease held = leases().acquire({"lab", "vm-2"}, owner("b"), k_hour);
  expect_lost([&] { m_state->mark_in_progress(mark(), {other.identity}); });
  EXPECT_TRUE(m_state->find_in_progress(other.identity));
  leases().release({"lab", "vm-2"}, held.token);
  m_state->mark_in_progress(mark(), {other.identity});
  EXPECT_FALSE(m_state->find_in_progress(other.identity));
}

TEST_P(StateLeases, AFenceIsOfOneMachine) {
  leases().fence({"lab", "vm-2"}, {"nobody", 7});
  m_state->commit_checkpoint(checkpoint(1));
  leases().fence(m_vm, {"nobody", 7});
  EXPECT_THROW(m_state->commit_checkpoint(checkpoint(2)), Error);
  leases().unfence(m_vm);
  m_state->commit_checkpoint(checkpoint(2));
}

// Where a lock is on a row, and not on everything.
class SharedStateLeases : public StateLeases {};

// Real waits on real locks; of the clock, only the third of the ttl after which a renewal is due is
// skipped.
// Break it: open the keeper's state without its patience, and the lease behind the locked one is
// lost before it is its turn.
TEST_P(SharedStateLeases, ALockedRowCostsNoOtherLease) {
  constexpr milliseconds k_ttl{60'000};
  const LeaseKey other{"lab", "vm-2"};
  const LeaseToken first = leases().acquire(m_vm, owner("a"), k_ttl).token;
  const LeaseToken second = leases().acquire(other, owner("a"), k_ttl).token;
  const auto own =
      open_state(m_database->connection(), m_database->password(), LeaseKeeper::patience(k_ttl));
  std::chrono::nanoseconds skipped{0};
  std::vector<std::string> told;
  LeaseKeeper keeper(
      [&](const LeaseKey& key, const LeaseToken& token, milliseconds ttl) {
        return own->leases().renew(key, token, ttl);
      },
      k_ttl,
      [&](const LeaseKey& key, LeaseKeeper::Event event, const std::string& why) {
        told.push_back(key.vm_id + (event == LeaseKeeper::Event::late ? " late " : " else ") + why);
      },
      [&] { return boot_time() + skipped; });
  keeper.keep(m_vm, first, boot_time());
  keeper.keep(other, second, boot_time());
  auto lock = m_database->hold("SELECT * FROM leases WHERE vm_id = 'vm-1' FOR UPDATE");
  skipped = k_ttl / 3;
  keeper.renew_due();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_NE(told.front().find("vm-1 late "), std::string::npos) << told.front();
  EXPECT_NE(told.front().find("locked by another process"), std::string::npos) << told.front();
  EXPECT_NE(told.front().find("busy for 1 s"), std::string::npos) << told.front();
  EXPECT_FALSE(keeper.is_lost(other));
  lock.reset();
  skipped += k_ttl / 3;
  keeper.renew_due();
  EXPECT_EQ(told.size(), 2U);
  skipped += k_ttl / 2;
  EXPECT_NO_THROW(keeper.check());
}

// Break it: leave the busy timeout to 30 s.
TEST_P(StateLeases, AConnectionOfShortPatienceSaysSoon) {
  const Lease a = leases().acquire(m_vm, owner("a"), k_hour);
  const auto hurried = open_state(m_database->connection(), m_database->password(),
                                  {.lock = milliseconds(10), .reply = milliseconds(500)});
  const auto lock = m_database->hold("UPDATE leases SET token = token");
  try {
    hurried->leases().renew(m_vm, a.token, k_hour);
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(error.transient());
    EXPECT_NE(std::string(error.what()).find("busy for 0.01 s"), std::string::npos) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Databases, SharedStateLeases, ::testing::Values(StateKind::postgresql),
                         [](const auto& parameter) { return to_string(parameter.param); });
INSTANTIATE_TEST_SUITE_P(Databases, StateLeases, ::testing::ValuesIn(k_state_kinds),
                         [](const auto& parameter) { return to_string(parameter.param); });

}  // namespace
}  // namespace hamal::testing
