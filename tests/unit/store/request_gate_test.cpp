// How the bound of requests falls and rises, step by step, in one thread.
#include "hamal/store/request_gate.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <vector>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using Outcome = RequestGate::Outcome;
using Permits = std::vector<std::unique_ptr<RequestGate::Permit>>;

Permits take(RequestGate& gate, unsigned count) {
  Permits permits;
  for (unsigned i = 0; i < count; ++i) {
    permits.push_back(std::make_unique<RequestGate::Permit>(gate));
  }
  return permits;
}

void end(Permits& permits, Outcome outcome) {
  permits.back()->set(outcome);
  permits.pop_back();
}

TEST(RequestGate, LetsAtLeastOneThrough) {
  const CancelToken cancel;
  RequestGate gate(0, cancel);
  EXPECT_EQ(gate.bound(), 1U);
  const RequestGate::Permit permit(gate);
}

TEST(RequestGate, IsHalvedOnceByAllThatWereUnderWay) {
  const CancelToken cancel;
  RequestGate gate(16, cancel);
  Permits permits = take(gate, 16);
  while (!permits.empty()) {
    end(permits, Outcome::slow_down);
  }
  EXPECT_EQ(gate.bound(), 8U);
}

TEST(RequestGate, WhatWasUnderWayBeforeDoesNotRaiseIt) {
  const CancelToken cancel;
  RequestGate gate(16, cancel);
  Permits permits = take(gate, 16);
  end(permits, Outcome::slow_down);
  while (!permits.empty()) {
    end(permits, Outcome::fine);
  }
  EXPECT_EQ(gate.bound(), 8U);
}

TEST(RequestGate, RisesByOneForABoundOfAnswersAndNeverAboveTheMost) {
  const CancelToken cancel;
  RequestGate gate(4, cancel);
  for (int i = 0; i < 3; ++i) {
    Permits permits = take(gate, 1);
    end(permits, Outcome::slow_down);
  }
  EXPECT_EQ(gate.bound(), 1U);
  Permits one = take(gate, 1);
  end(one, Outcome::fine);
  EXPECT_EQ(gate.bound(), 2U);
  for (int i = 0; i < 100; ++i) {
    Permits permits = take(gate, 1);
    end(permits, Outcome::fine);
  }
  EXPECT_EQ(gate.bound(), 4U);
}

TEST(RequestGate, OtherOutcomesSayNothing) {
  const CancelToken cancel;
  RequestGate gate(4, cancel);
  Permits permits = take(gate, 1);
  end(permits, Outcome::slow_down);
  for (int i = 0; i < 100; ++i) {
    take(gate, 2);
  }
  EXPECT_EQ(gate.bound(), 2U);
}

TEST(RequestGate, WhoWaitsForRoomEndsWhenStopped) {
  CancelToken cancel;
  RequestGate gate(2, cancel);
  const Permits permits = take(gate, 2);
  cancel.request(SIGTERM);
  EXPECT_THROW(take(gate, 1), Error);
}

}  // namespace
}  // namespace hamal
