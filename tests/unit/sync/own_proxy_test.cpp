// Whose target it is, by what is recorded of it.
#include "hamal/sync/own_proxy.hpp"

#include <gtest/gtest.h>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

Checkpoint checkpoint(const std::string& proxy) {
  Checkpoint c;
  c.proxy = proxy;
  return c;
}
InProgress mark(const std::string& proxy) {
  InProgress m;
  m.proxy = proxy;
  return m;
}

TEST(OwnProxy, TheMarkIsNewerThanTheCheckpoint) {
  EXPECT_EQ(other_proxy(checkpoint("b"), std::nullopt, "a"), "b");
  EXPECT_EQ(other_proxy(checkpoint("a"), std::nullopt, "a"), "");
  EXPECT_EQ(other_proxy(checkpoint("b"), mark("a"), "a"), "");
  EXPECT_EQ(other_proxy(checkpoint("a"), mark("b"), "a"), "b");
  EXPECT_EQ(other_proxy(std::nullopt, mark("b"), "a"), "b");
}

TEST(OwnProxy, WhatWasRecordedWithoutAProxyIsNobodys) {
  EXPECT_EQ(other_proxy(std::nullopt, std::nullopt, "a"), "");
  EXPECT_EQ(other_proxy(checkpoint(""), mark(""), "a"), "");
  EXPECT_EQ(other_proxy(checkpoint("b"), mark(""), "a"), "b");
}

TEST(OwnProxy, AnotherOnesIsRefusedUnlessItIsTakenOver) {
  try {
    require_own_proxy(checkpoint("b"), std::nullopt, "a", "file:/x", TakeOver::no);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(exit_status(error), ExitStatus::wrong_target);
    EXPECT_EQ(error.object(), "file:/x");
  }
  EXPECT_EQ(require_own_proxy(checkpoint("b"), std::nullopt, "a", "file:/x", TakeOver::yes), "b");
  EXPECT_EQ(require_own_proxy(checkpoint("a"), std::nullopt, "a", "file:/x", TakeOver::no), "");
}

}  // namespace
}  // namespace hamal
