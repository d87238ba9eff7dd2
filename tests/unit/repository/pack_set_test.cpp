// Sets of packs as ranges: the same as a set of names, in ranges that are as few as can be.
#include "hamal/repository/pack_set.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace hamal::repository {
namespace {

PackName pack(unsigned session, std::uint32_t number) {
  PackName name;
  name.session[0] = std::byte(session);
  name.number = number;
  return name;
}

std::set<PackName> names(const PackSet& set) {
  std::set<PackName> all;
  set.for_each([&](const PackName& name) { all.insert(name); });
  return all;
}

TEST(PackSetTest, JoinsWhatTouchesAndSplitsWhereOneGoes) {
  PackSet set;
  for (const std::uint32_t number : {5U, 3U, 4U, 9U}) {
    set.insert(pack(1, number));
  }
  EXPECT_EQ(set.sessions().begin()->second, (PackSet::Ranges{{3, 5}, {9, 9}}));
  set.insert(pack(1, 0).session, 4, 8);
  EXPECT_EQ(set.sessions().begin()->second, (PackSet::Ranges{{3, 9}}));
  set.erase(pack(1, 6));
  EXPECT_EQ(set.sessions().begin()->second, (PackSet::Ranges{{3, 5}, {7, 9}}));
  set.erase(pack(1, 6));
  set.erase(pack(2, 6));
  EXPECT_EQ(set.size(), 6U);
}

TEST(PackSetTest, IsEmptyWhenTheLastIsErased) {
  PackSet set;
  set.insert(pack(1, 7));
  set.erase(pack(1, 7));
  EXPECT_TRUE(set.empty());
  EXPECT_EQ(set, PackSet{});
}

TEST(PackSetTest, CountsWithoutCounting) {
  PackSet set;
  set.insert(SessionId{}, 0, k_highest_pack);
  EXPECT_EQ(set.size(), 100'000'000U);
  EXPECT_TRUE(set.contains({SessionId{}, 77'777'777}));
}

TEST(PackSetTest, HoldsWhatASetOfNamesHolds) {
  std::mt19937 engine(7);
  const auto random = [&](std::uint32_t below) {
    return static_cast<std::uint32_t>(engine() % below);
  };
  for (unsigned round = 0; round < 50; ++round) {
    PackSet set;
    std::set<PackName> expected;
    for (unsigned step = 0; step < 60; ++step) {
      const PackName name = pack(random(2), random(24));
      if (random(3) == 0) {
        set.erase(name);
        expected.erase(name);
      } else {
        const std::uint32_t last = name.number + random(4);
        set.insert(name.session, name.number, last);
        for (std::uint32_t number = name.number; number <= last; ++number) {
          expected.insert({name.session, number});
        }
      }
      ASSERT_EQ(set.contains(name), expected.contains(name));
    }
    ASSERT_EQ(names(set), expected);
    ASSERT_EQ(set.size(), expected.size());
    PackSet again;
    for (const PackName& name : expected) {
      again.insert(name);
    }
    ASSERT_EQ(again, set) << "not the fewest ranges";
  }
}

}  // namespace
}  // namespace hamal::repository
