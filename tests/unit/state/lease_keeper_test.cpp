// When a lease must be taken for lost: by our own clock, before the database's ends.
//
// Break it: count from after the request, use all of the ttl, or believe a renewal that came too
// late, and one of these fails.
#include "hamal/state/lease_keeper.hpp"

#include <gtest/gtest.h>

#include <future>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// Nothing is renewed but when a test says so: a third of it is long.
constexpr milliseconds k_ttl = seconds(10'000);
constexpr seconds k_usable(8'000);

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
  unsigned m_problems = 0;
  unsigned m_asked = 0;
  std::string m_said;
  LeaseKeeper m_keeper{[this](const LeaseKey&, const LeaseToken&, milliseconds ttl) {
                         EXPECT_EQ(ttl, k_ttl);
                         ++m_asked;
                         return m_answer();
                       },
                       k_ttl, [this](const std::string&) { ++m_problems; },
                       [this] { return m_now; }};
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
  EXPECT_TRUE(m_keeper.renew_all());
  m_now = begun + k_usable - nanoseconds(1);
  EXPECT_FALSE(lost());
  m_now += nanoseconds(1);
  EXPECT_TRUE(lost());
}

// Whoever stopped because it was lost, or was stopped itself, must not go on.
TEST_F(LeaseKeeperTest, WhatIsLostStaysLost) {
  keep(m_vm);
  m_answer = [this] {
    m_now += k_usable;
    return true;
  };
  m_keeper.renew_all();
  EXPECT_TRUE(lost());
  m_answer = [] { return true; };
  m_keeper.renew_all();
  EXPECT_TRUE(lost());
  EXPECT_EQ(m_asked, 1U);
}

TEST_F(LeaseKeeperTest, WhatAnotherHasIsLostAtOnceAndTheRestIsNot) {
  keep(m_vm);
  keep(m_other);
  m_answer = [this] { return m_asked == 2; };  // in the order of their names: "other" comes first
  m_keeper.renew_all();
  EXPECT_TRUE(m_keeper.is_lost(m_other));
  EXPECT_FALSE(m_keeper.is_lost(m_vm));
  EXPECT_TRUE(lost());
  EXPECT_NE(m_said.find("another proxy has taken it"), std::string::npos) << m_said;
}

TEST_F(LeaseKeeperTest, AnOutageIsToldOnceAndCostsNothingUntilTheTimeIsOver) {
  keep(m_vm);
  m_answer = []() -> bool { throw Error(ErrorKind::failed, "it is down"); };
  EXPECT_FALSE(m_keeper.renew_all());
  EXPECT_FALSE(m_keeper.renew_all());
  EXPECT_EQ(m_problems, 1U);
  EXPECT_FALSE(lost());
  m_answer = [] { return true; };
  m_now += seconds(7'000);
  EXPECT_TRUE(m_keeper.renew_all());
  m_now += seconds(7'000);
  EXPECT_FALSE(lost());
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
      milliseconds(30), [](const std::string&) {}, [] { return nanoseconds(0); });
  keeper.keep({"lab", "vm"}, {"owner", 1}, nanoseconds(0));
  twice.get_future().wait();
  EXPECT_NO_THROW(keeper.check());
}

}  // namespace
}  // namespace hamal
