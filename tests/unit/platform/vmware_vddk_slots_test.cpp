// Who may open a disk by VDDK, and who waits for whom.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <thread>

#include "hamal/platform/vmware/vddk_slots.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "util/temporary_directory.hpp"

namespace hamal::vmware {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

class VmwareVddkSlots : public ::testing::Test {
 protected:
  void SetUp() override {
    LogSettings settings;
    settings.directory = directory.path().string();
    settings.file_name = "log";
    log.emplace(settings);
  }

  /// As another process has them.
  VddkSlots slots(std::chrono::milliseconds patience) {
    return {directory / "vddk", patience, *log, cancel};
  }
  static SlotWish of(const std::string& host, const std::string& disk) {
    return {.server = "vc", .host = host, .of_host = 1, .through_server = 2, .object = disk};
  }
  Error refused(const VddkSlots& from, const SlotWish& wish) {
    try {
      from.take(wish);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "it was given";
    return {ErrorKind::failed, "nothing"};
  }

  std::string logged() const {
    return std::filesystem::exists(directory / "log") ? read_file(directory / "log") : "";
  }

  test::TemporaryDirectory directory;
  std::optional<Logger> log;
  CancelToken cancel;
};

// Break it: leave the look for who has them out, or throw a permanent error.
TEST_F(VmwareVddkSlots, WhoWaitsSaysForWhomAndGivesUpForNow) {
  const VddkSlot other = slots(1ms).take(of("host-1", "db01/2000"));
  const Error error = refused(slots(1ms), of("host-1", "web01/2001"));
  EXPECT_EQ(exit_status(error), ExitStatus::temporary);
  EXPECT_EQ(error.object(), "web01/2001");
  EXPECT_THAT(error.what(), AllOf(HasSubstr("no VDDK connection to host-1 became free"),
                                  HasSubstr("vddk:db01/2000"), HasSubstr("pid=")));
  EXPECT_THAT(error.hint(), HasSubstr("vddk_wait"));
  EXPECT_THAT(logged(), AllOf(HasSubstr("web01/2001: waits for a VDDK connection to host-1"),
                              HasSubstr("vddk:db01/2000")));
}

// Break it: take no slot of the server's, or keep it while the host's is waited for.
TEST_F(VmwareVddkSlots, AreCountedPerHostAndThroughTheServer) {
  const VddkSlots one = slots(1ms);
  std::optional<VddkSlot> first = one.take(of("host-1", "a/1"));
  const VddkSlots two = slots(1ms);
  const VddkSlot second = two.take(of("host-2", "b/1"));
  const VddkSlots three = slots(1ms);
  EXPECT_THAT(refused(three, of("host-3", "c/1")).what(), HasSubstr("through vc"));
  EXPECT_THAT(refused(three, of("host-2", "c/1")).what(), HasSubstr("to host-2"));
  first.reset();
  EXPECT_NO_THROW(three.take(of("host-3", "c/1")));
  EXPECT_NO_THROW(three.take(of("host-1", "c/1")));
}

TEST_F(VmwareVddkSlots, TheHostsOfTwoServersAreTwo) {
  const VddkSlot first = slots(1ms).take(of("host-1", "a/1"));
  SlotWish elsewhere = of("host-1", "b/1");
  elsewhere.server = "other:8443";
  EXPECT_NO_THROW(slots(1ms).take(elsewhere));
}

// Our own disks end by themselves, however long it takes. Break it: leave restart() out.
TEST_F(VmwareVddkSlots, WhatOnesOwnDisksHaveIsWaitedForWithoutEnd) {
  const VddkSlots own = slots(1ms);
  std::optional<VddkSlot> first = own.take(of("host-1", "web01/2000"));
  std::atomic<bool> got{false};
  std::thread second([&] {
    const VddkSlot slot = own.take(of("host-1", "web01/2001"));
    got = true;
  });
  // It waits, as the log says, and has not given up.
  while (logged().find("web01/2001: waits") == std::string::npos) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(got);
  first.reset();
  second.join();
  EXPECT_TRUE(got);
}

TEST_F(VmwareVddkSlots, WaitingEndsWhenItIsStopped) {
  const VddkSlot other = slots(1h).take(of("host-1", "db01/2000"));
  const VddkSlots own = slots(1h);
  std::thread stop([&] { cancel.request(15); });
  EXPECT_EQ(refused(own, of("host-1", "web01/2000")).kind(), ErrorKind::terminated);
  stop.join();
}

}  // namespace
}  // namespace hamal::vmware
