// Connections over the socket of a FusionCompute's hosts, counted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <thread>

#include "hamal/platform/fusioncompute/host_slots.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "util/temporary_directory.hpp"

namespace hamal::fusioncompute {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

class FusionComputeHostSlots : public ::testing::Test {
 protected:
  void SetUp() override {
    LogSettings settings;
    settings.directory = directory.path().string();
    settings.file_name = "log";
    log.emplace(settings);
  }

  /// As another process has them.
  HostSlots slots(std::chrono::milliseconds patience) {
    return {directory / "hosts", patience, *log, cancel};
  }
  static SlotWish of(const std::string& host, const std::string& disk) {
    return {.host = host, .of_host = 1, .object = disk};
  }
  Error refused(const HostSlots& from, const SlotWish& wish) {
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
TEST_F(FusionComputeHostSlots, WhoWaitsSaysForWhomAndGivesUpForNow) {
  const HostSlot other = slots(1ms).take(of("urn:host-1", "db01/disk1"));
  const Error error = refused(slots(1ms), of("urn:host-1", "web01/disk2"));
  EXPECT_EQ(exit_status(error), ExitStatus::temporary);
  EXPECT_EQ(error.object(), "web01/disk2");
  EXPECT_THAT(error.what(), AllOf(HasSubstr("no connection to the host urn:host-1 became free"),
                                  HasSubstr("vna:db01/disk1"), HasSubstr("pid=")));
  EXPECT_THAT(error.hint(), HasSubstr("vna_wait"));
  EXPECT_THAT(logged(), AllOf(HasSubstr("web01/disk2: waits for a connection to the host"),
                              HasSubstr("vna:db01/disk1")));
  EXPECT_NO_THROW(slots(1ms).take(of("urn:host-2", "web01/disk2")));
}

// Our own disks end by themselves, however long it takes. Break it: leave it out that the wait
// begins anew.
TEST_F(FusionComputeHostSlots, WhatOnesOwnDisksHaveIsWaitedForWithoutEnd) {
  const HostSlots own = slots(0ms);
  std::optional<HostSlot> first = own.take(of("urn:host-1", "web01/disk1"));
  std::atomic<bool> got{false};
  std::thread second([&] {
    const HostSlot slot = own.take(of("urn:host-1", "web01/disk2"));
    got = true;
  });
  // It waits, as the log says, and has not given up.
  while (logged().find("web01/disk2: waits") == std::string::npos) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(got);
  first.reset();
  second.join();
  EXPECT_TRUE(got);
}

}  // namespace
}  // namespace hamal::fusioncompute
