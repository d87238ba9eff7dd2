// When a lease must be taken for lost: by our own clock, before the database's ends.
//
// Break it: count from after the request, use all of the ttl, or believe a renewal that came too
// late, and one of these fails.
#include "hamal/state/lease_keeper.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <memory>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

// Nothing is renewed but when a test says so: a third of it is long.
constexpr milliseconds k_ttl = seconds(10'000);
constexpr seconds k_usable(8'000);
constexpr milliseconds k_third = k_ttl / 3;

class LeaseKeeperTest : public ::testing::Test {
 protected:
  void keep(const LeaseKey& key) { m_keeper.keep(key, {"owner", 1}, m_now); }
  bool lost() {
    try {
      m_keeper.check();
      return false;
    } catch (const Error& error) {
      EXPECT_EQ(exit_status(error), ExitStatus::busy);
      m_said = error.what();
      return true;
    }
  }

  const LeaseKey m_vm{"lab", "vm"};
  const LeaseKey m_other{"lab", "other"};
  nanoseconds m_now = seconds(500);
  std::function<bool()> m_answer = [] { return true; };
  std::vector<std::string> m_asked;
  std::vector<std::string> m_told;
  std::string m_said;
  LeaseKeeper m_keeper{[this](const LeaseKey& key, const LeaseToken&, milliseconds ttl) {
                         EXPECT_EQ(ttl, k_ttl);
                         m_asked.push_back(key.vm_id);
                         return m_answer();
                       },
                       k_ttl,
                       [this](const LeaseKey& key, LeaseKeeper::Event event, const std::string&) {
                         m_told.push_back(key.vm_id + " " + k_words.at(event));
                       },
                       [this] { return m_now; }};
  static inline const std::map<LeaseKeeper::Event, std::string> k_words{
      {LeaseKeeper::Event::late, "late"},
      {LeaseKeeper::Event::renewed, "renewed"},
      {LeaseKeeper::Event::lost, "lost"}};
};

TEST_F(LeaseKeeperTest, NothingIsLostWhereNothingIsKept) {
  EXPECT_FALSE(lost());
  EXPECT_TRUE(m_keeper.is_lost(m_vm));
}

TEST_F(LeaseKeeperTest, ALeaseIsLostBeforeItsTimeIsOver) {
  keep(m_vm);
  m_now += k_usable - nanoseconds(1);
  EXPECT_FALSE(lost());
  m_now += nanoseconds(1);
  EXPECT_TRUE(lost());
  EXPECT_NE(m_said.find("vm lab/vm"), std::string::npos) << m_said;
  EXPECT_NE(m_said.find("could not be renewed in time"), std::string::npos) << m_said;
  m_keeper.forget(m_vm);
  EXPECT_FALSE(lost());
}

TEST_F(LeaseKeeperTest, ARenewalCountsFromBeforeItsRequest) {
  keep(m_vm);
  const auto begun = m_now += seconds(4'000);
  m_answer = [this] {
    m_now += seconds(3'000);  // the request takes so long
    return true;
  };
  m_keeper.renew_due();
  m_now = begun + k_usable - nanoseconds(1);
  EXPECT_FALSE(lost());
  m_now += nanoseconds(1);
  EXPECT_TRUE(lost());
}

// Whoever stopped because it was lost, or was stopped itself, must not go on.
TEST_F(LeaseKeeperTest, WhatIsLostStaysLost) {
  keep(m_vm);
  m_now += k_third;
  m_answer = [this] {
    m_now += k_usable;
    return true;
  };
  m_keeper.renew_due();
  EXPECT_TRUE(lost());
  EXPECT_NE(m_said.find("could not be renewed in time"), std::string::npos) << m_said;
  m_answer = [] { return true; };
  m_now += k_third;
  m_keeper.renew_due();
  EXPECT_TRUE(lost());
  EXPECT_EQ(m_asked.size(), 1U);
  EXPECT_THAT(m_told, ElementsAre("vm lost"));
}

TEST_F(LeaseKeeperTest, WhatAnotherHasIsLostAtOnceAndTheRestIsNot) {
  keep(m_vm);
  keep(m_other);
  m_now += k_third;
  m_answer = [this] { return m_asked.back() == "vm"; };
  m_keeper.renew_due();
  EXPECT_TRUE(m_keeper.is_lost(m_other));
  EXPECT_FALSE(m_keeper.is_lost(m_vm));
  EXPECT_TRUE(lost());
  EXPECT_NE(m_said.find("another proxy has taken it"), std::string::npos) << m_said;
  EXPECT_THAT(m_told, ElementsAre("other lost"));
}

TEST_F(LeaseKeeperTest, AnOutageIsToldOnceAndCostsNothingUntilTheTimeIsOver) {
  keep(m_vm);
  m_answer = []() -> bool { throw Error(ErrorKind::failed, "it is down"); };
  m_now += k_third;
  m_keeper.renew_due();
  m_now += seconds(2);
  m_keeper.renew_due();
  EXPECT_EQ(m_asked.size(), 2U);
  EXPECT_THAT(m_told, ElementsAre("vm late"));
  EXPECT_FALSE(lost());
  m_answer = [] { return true; };
  m_now += seconds(3'000);
  m_keeper.renew_due();
  EXPECT_THAT(m_told, ElementsAre("vm late", "vm renewed"));
  m_now += seconds(7'000);
  EXPECT_FALSE(lost());
}

TEST_F(LeaseKeeperTest, WhatCannotBeRenewedUntilItsTimeIsOverIsSaidToBeLost) {
  keep(m_vm);
  m_answer = []() -> bool { throw Error(ErrorKind::failed, "it is down"); };
  m_now += k_third;
  m_keeper.renew_due();
  m_now += k_usable;
  m_keeper.renew_due();
  m_now += k_third;
  m_keeper.renew_due();
  EXPECT_THAT(m_told, ElementsAre("vm late", "vm lost"));
  EXPECT_EQ(m_asked.size(), 2U);
}

// Break it: let take_due() not look at who is late.
TEST_F(LeaseKeeperTest, WhatIsStuckComesLastAlthoughItWaitsLonger) {
  keep(m_other);
  m_now += milliseconds(1'500);
  keep(m_vm);
  m_now += k_third - milliseconds(1'500);
  m_answer = [this]() -> bool {
    if (m_asked.back() == "other") {
      throw Error(ErrorKind::failed, "its row is locked");
    }
    return true;
  };
  m_keeper.renew_due();
  m_now += seconds(2);
  m_keeper.renew_due();
  EXPECT_THAT(m_asked, ElementsAre("other", "vm", "other"));
}

// Each failure takes as long as the connection lets it: a tenth of the ttl here.
TEST_F(LeaseKeeperTest, TheHealthyAreRenewedInTimeHoweverManyAreStuck) {
  for (const char* id : {"a", "b", "c", "d", "x", "y", "z"}) {
    keep({"lab", id});
  }
  const auto is_stuck = [](const std::string& id) { return id >= "a" && id <= "d"; };
  m_answer = [this, is_stuck]() -> bool {
    if (is_stuck(m_asked.back())) {
      m_now += k_ttl / 10;
      throw Error(ErrorKind::failed, "its row is locked");
    }
    return true;
  };
  for (int round = 0; round < 20; ++round) {
    const auto next = m_keeper.renew_due();
    ASSERT_TRUE(next);
    m_now = std::max(m_now, *next);
  }
  for (const char* id : {"x", "y", "z"}) {
    EXPECT_FALSE(m_keeper.is_lost({"lab", id})) << id;
  }
  EXPECT_TRUE(m_keeper.is_lost({"lab", "a"}));
  std::sort(m_told.begin(), m_told.end());
  EXPECT_THAT(m_told, ElementsAre("a late", "a lost", "b late", "b lost", "c late", "c lost",
                                  "d late", "d lost"));
}

// Break it: let the connection wait longer.
TEST(LeaseKeeperPatience, LeavesTimeForTheOthersWhileSixteenAreStuck) {
  for (const milliseconds ttl :
       {milliseconds(5'000), milliseconds(60'000), milliseconds(3'600'000)}) {
    const Patience patience = LeaseKeeper::patience(ttl);
    EXPECT_LT(16 * patience.lock + ttl / 3, LeaseKeeper::usable(ttl)) << ttl.count();
    EXPECT_LE(patience.lock, patience.reply);
    EXPECT_LT(patience.reply, ttl / 3);
    EXPECT_LT(patience.outage, ttl / 3);
  }
}

TEST(LeaseKeeperThread, RenewsByItself) {
  std::promise<void> twice;
  unsigned asked = 0;
  LeaseKeeper keeper(
      [&](const LeaseKey&, const LeaseToken&, milliseconds) {
        if (++asked == 2) {
          twice.set_value();
        }
        return true;
      },
      milliseconds(300), [](const LeaseKey&, LeaseKeeper::Event, const std::string&) {},
      // As far as it is looked at: however slow the machine is, nothing is lost.
      [now = std::make_shared<std::atomic<int>>(0)] { return milliseconds(20 * ++*now); });
  keeper.keep({"lab", "vm"}, {"owner", 1}, nanoseconds(0));
  twice.get_future().wait();
}

}  // namespace
}  // namespace hamal
