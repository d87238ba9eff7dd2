#include "hamal/platform/rbd_names.hpp"

#include <gtest/gtest.h>

namespace hamal {
namespace {

TEST(RbdNames, ASnapshotsNameSaysWhoseItIsAndWhetherItIsABase) {
  const std::string id = new_snapshot_id("0123abcd");
  const auto held = parse_snapshot_name(held_name(id));
  ASSERT_TRUE(held);
  EXPECT_EQ(held->id, id);
  EXPECT_EQ(held->mark, "0123abcd");
  EXPECT_FALSE(held->base);
  const auto base = parse_snapshot_name(base_name(id));
  ASSERT_TRUE(base);
  EXPECT_EQ(base->id, id);
  EXPECT_TRUE(base->base);
  EXPECT_EQ(created_of_snapshot("0123abcd-20261130T142233Z-00ff"), "2026-11-30T14:22:33Z");
}

TEST(RbdNames, WhatOthersCallTheirsIsNeverTakenForOurs) {
  for (const char* name :
       {"", "hamal-", "daily", "hamal-daily", "hamal-0123abcd", "hamal-0123abcd-20261130T142233Z",
        "hamal-0123abcd-20261130T142233Z-", "hamal-0123ABCD-20261130T142233Z-00ff",
        "hamal-0123abcd-20261130 142233Z-00ff", "hamal-0123abcd-20261130T142233Z-00ff.bas",
        "xhamal-0123abcd-20261130T142233Z-00ff"}) {
    EXPECT_FALSE(parse_snapshot_name(name)) << name;
  }
}

TEST(RbdNames, AChangeIdIsReadAsItWasWritten) {
  const auto id = parse_rbd_change_id(to_string(RbdChangeId{"1f6b8b4567", 42, "a:b"}));
  ASSERT_TRUE(id);
  EXPECT_EQ(id->image, "1f6b8b4567");
  EXPECT_EQ(id->snapshot, 42U);
  EXPECT_EQ(id->name, "a:b");
  for (const char* text : {"", "rbd:", "rbd:x", "rbd:x:1", "rbd::1:n", "rbd:x:-1:n", "rbd:x:1x:n",
                           "rbd:x::n", "rbd:x:18446744073709551616:n", "bitmap:x:1:n"}) {
    EXPECT_FALSE(parse_rbd_change_id(text)) << text;
  }
}

}  // namespace
}  // namespace hamal
