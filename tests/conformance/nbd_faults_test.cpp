// What readers and writers do when a server fails: one range, a cut connection, a missing export.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <thread>

#include "hamal/block/endpoint.hpp"
#include "hamal/block/nbd_reader.hpp"
#include "hamal/block/nbd_writer.hpp"
#include "hamal/util/error.hpp"
#include "io_helpers.hpp"
#include "servers.hpp"

namespace hamal::testing {
namespace {

using ::testing::HasSubstr;

template <typename Call>
Error error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorKind::failed, "nothing was thrown"};
}

/// A disk whose first byte of each MiB tells reads which range they are in; one MiB of it cannot be
/// read.
std::unique_ptr<Server> serve_with_bad_range(const ScratchDirectory& scratch) {
  const std::string script =
      "if [ $4 -ge 2097152 ] && [ $4 -lt 3145728 ]; then echo 'EIO bad sector' >&2; exit 1; fi; "
      "head -c $3 /dev/zero";
  return start_nbdkit(scratch, {"eval", "get_size=echo 8388608", "pread=" + script});
}

TEST(NbdFaults, AReadErrorIsOfThatRequestAlone) {
  const ScratchDirectory scratch;
  const auto server = serve_with_bad_range(scratch);
  NbdReader reader(server->uri());
  const auto queue = reader.open_queue();
  std::vector<std::byte> buffers[8];
  Waiter waiters[8];
  for (std::size_t i = 0; i < 8; ++i) {
    buffers[i].resize(65536);
    queue->read(i << 20U, buffers[i], waiters[i]);
  }
  for (std::size_t i = 0; i < 8; ++i) {
    drive(*queue, waiters[i].pending);
    EXPECT_EQ(waiters[i].told, 1);
    EXPECT_EQ(waiters[i].error != nullptr, i == 2) << i;
  }
  const std::string message = describe(waiters[2].error);
  EXPECT_THAT(message, HasSubstr(server->uri()));
  EXPECT_THAT(message, HasSubstr("65536 bytes at offset 2097152"));
  EXPECT_THAT(message, HasSubstr("Input/output error"));
}

TEST(NbdFaults, ACutConnectionCompletesAllRequestsWithATransientError) {
  const ScratchDirectory scratch;
  const auto server = start_nbdkit(scratch, {"--filter=delay", "memory", "64M", "rdelay=60"});
  NbdReader reader(server->uri());
  const auto queue = reader.open_queue();
  std::vector<std::vector<std::byte>> buffers(16, std::vector<std::byte>(4096));
  std::vector<Waiter> waiters(16);
  for (std::size_t i = 0; i < waiters.size(); ++i) {
    queue->read(i * 4096, buffers[i], waiters[i]);
  }
  server->kill();
  const Error thrown = error_of([&] {
    for (const Waiter& waiter : waiters) {
      drive(*queue, waiter.pending);
    }
  });
  EXPECT_TRUE(thrown.transient());
  for (const Waiter& waiter : waiters) {
    ASSERT_EQ(waiter.told, 1);
    const Error error = error_of([&] { std::rethrow_exception(waiter.error); });
    EXPECT_TRUE(error.transient()) << error.what();
    EXPECT_EQ(error.object(), server->uri());
  }
  // And everything after it fails at once instead of waiting.
  Waiter later;
  queue->read(0, buffers[0], later);
  EXPECT_EQ(later.told, 1);
  EXPECT_TRUE(later.error != nullptr);
}

// The server answers in ten minutes: without the token these would wait for that, or for half a
// minute.
class NbdCancelled : public ::testing::Test {
 protected:
  void request_soon() {
    m_signal = std::thread([this] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      cancel.request(SIGTERM);
    });
  }
  ~NbdCancelled() override {
    if (m_signal.joinable()) {
      m_signal.join();
    }
  }

  ScratchDirectory scratch;
  std::vector<std::byte> buffer = std::vector<std::byte>(4096);
  CancelToken cancel;

 private:
  std::thread m_signal;
};

TEST_F(NbdCancelled, ASynchronousReadEnds) {
  const auto server = start_nbdkit(scratch, {"--filter=delay", "memory", "1M", "rdelay=600"});
  NbdReader reader(server->uri(), {}, &cancel);
  request_soon();
  EXPECT_EQ(error_of([&] { reader.read(0, buffer); }).kind(), ErrorKind::terminated);
  server->kill();
}

// A connection that others use too is not cut at once otherwise.
TEST_F(NbdCancelled, WhatIsUnderWayOnASharedConnectionIsNotWaitedFor) {
  const auto server = start_nbdkit(scratch, {"--filter=multi-conn", "--filter=delay", "memory",
                                             "1M", "rdelay=600", "multi-conn-mode=disable"});
  NbdReader reader(server->uri(), {}, &cancel);
  ASSERT_EQ(reader.max_queues(), 1U);
  Waiter waiter;
  auto queue = reader.open_queue();
  queue->read(0, buffer, waiter);
  request_soon();
  const auto begin = std::chrono::steady_clock::now();
  queue.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(25));
  EXPECT_EQ(waiter.told, 0);
  server->kill();
}

TEST(NbdFaults, AWriterWhoseServerDiedNeverFlushesAgain) {
  const ScratchDirectory scratch;
  const auto server = start_nbdkit(scratch, {"memory", "1M"});
  NbdWriter writer(server->uri());
  const auto queue = writer.open_queue();
  const std::vector<std::byte> data(4096, std::byte{1});
  write(*queue, 0, data);
  writer.flush();
  server->kill();
  EXPECT_TRUE(error_of([&] { write(*queue, 0, data); }).transient());
  EXPECT_TRUE(error_of([&] { writer.flush(); }).transient());
  EXPECT_THAT(error_of([&] { writer.flush(); }).what(), HasSubstr("earlier flush failed"));
}

TEST(NbdFaults, AFailedFlushIsRemembered) {
  const ScratchDirectory scratch;
  const std::string failing = scratch.file("fail");
  const auto server = start_nbdkit(
      scratch, {"eval", "get_size=echo 1048576", "pread=head -c $3 /dev/zero",
                "pwrite=cat >/dev/null", "can_write=exit 0", "can_flush=exit 0",
                "flush=if [ -e " + failing + " ]; then echo 'ENOSPC full' >&2; exit 1; fi"});
  NbdWriter writer(server->uri());
  writer.flush();
  std::ofstream(failing).put('x');
  EXPECT_THAT(error_of([&] { writer.flush(); }).what(), HasSubstr("No space left"));
  std::filesystem::remove(failing);
  EXPECT_THAT(error_of([&] { writer.flush(); }).what(), HasSubstr("earlier flush failed"));
}

TEST(NbdFaults, ReadOnlyAndUnflushableExportsAreNoTargets) {
  const ScratchDirectory scratch;
  const auto read_only = start_nbdkit(scratch, {"--readonly", "memory", "1M"});
  const Error first = error_of([&] { const NbdWriter writer(read_only->uri()); });
  EXPECT_EQ(first.kind(), ErrorKind::wrong_target);
  EXPECT_THAT(first.what(), HasSubstr("read-only"));
  const auto unflushable =
      start_nbdkit(scratch, {"eval", "get_size=echo 1048576", "pread=head -c $3 /dev/zero",
                             "pwrite=cat >/dev/null", "can_write=exit 0", "can_flush=exit 3"});
  const Error second = error_of([&] { const NbdWriter writer(unflushable->uri()); });
  EXPECT_EQ(second.kind(), ErrorKind::wrong_target);
  EXPECT_THAT(second.what(), HasSubstr("cannot flush"));
}

TEST(NbdFaults, MissingServersAndExportsAreNamed) {
  const ScratchDirectory scratch;
  const std::string nowhere = "nbd+unix:///?socket=" + scratch.file("nothing");
  EXPECT_THAT(error_of([&] { const NbdReader reader(nowhere); }).what(), HasSubstr(nowhere));
  const Error refused = error_of([] { const NbdReader reader("nbd://127.0.0.1:1/x"); });
  EXPECT_TRUE(refused.transient()) << refused.what();

  const std::string image = scratch.file("disk.raw");
  write_sparse(image, sample_content(1U << 20, 1));
  const auto server = start_qemu_nbd(scratch, {"--export-name", "here", "--format", "raw", image});
  EXPECT_THAT(error_of([&] { const NbdReader reader(server->uri("there")); }).what(),
              HasSubstr("there"));
  const NbdReader reader(server->uri("here"));
  EXPECT_EQ(reader.size(), 1U << 20);
}

TEST(NbdFaults, AContextThatIsNotOfferedIsNamed) {
  const ScratchDirectory scratch;
  const auto server = start_nbdkit(scratch, {"memory", "1M"});
  const std::string context = "qemu:dirty-bitmap:nothere";
  NbdReader reader(server->uri(), {context});
  EXPECT_FALSE(reader.offers(context));
  EXPECT_THAT(error_of([&] { reader.dirty(context); }).what(), HasSubstr(context));
}

TEST(NbdBitmaps, DirtyRangesAreDataOrZero) {
  const ScratchDirectory scratch;
  const std::string image = scratch.file("disk.qcow2");
  run({"qemu-img", "create", "-q", "-f", "qcow2", image, "8M"});
  run({"qemu-io", "-c", "write -P 1 0 8M", image});
  run({"qemu-img", "bitmap", "--add", "-g", "65536", image, "b0"});
  run({"qemu-io", "-c", "write -P 2 1M 64k", "-c", "discard 3M 128k", "-c", "write -z 5M 64k", "-c",
       "write -P 3 8384512 4096", image});
  run({"qemu-img", "bitmap", "--disable", image, "b0"});
  const auto server =
      start_qemu_nbd(scratch, {"--read-only", "--bitmap", "b0", "--format", "qcow2", image});
  const std::string context = "qemu:dirty-bitmap:b0";
  NbdReader reader(server->uri(), {context});
  ASSERT_TRUE(reader.offers(context));
  const auto extents = all_extents(*reader.dirty(context));
  const std::vector<Extent> expected{{1U << 20, 65536, ExtentKind::data},
                                     {3U << 20, 131072, ExtentKind::zero},
                                     {5U << 20, 65536, ExtentKind::zero},
                                     {(8U << 20) - 65536, 65536, ExtentKind::data}};
  EXPECT_EQ(extents, expected);
}

TEST(NbdLimits, HugeDisksAreDescribedInWindows) {
  const ScratchDirectory scratch;
  const auto server = start_nbdkit(scratch, {"memory", "2T"});
  NbdWriter writer(server->uri());
  const std::uint64_t k_far = (2ULL << 40) - 98765;
  const std::vector<std::byte> data(5000, std::byte{9});
  write(*writer.open_queue(), k_far, data);
  NbdReader reader(server->uri());
  std::uint64_t at = 0;
  std::uint64_t bytes = 0;
  for (const Extent& extent : all_extents(*reader.allocated())) {
    ASSERT_EQ(extent.offset, at);
    at = extent.end();
    bytes += extent.kind == ExtentKind::data ? extent.length : 0;
  }
  EXPECT_EQ(at, 2ULL << 40);
  EXPECT_GE(bytes, data.size());
  EXPECT_LE(bytes, 1U << 20);
  std::vector<std::byte> back(data.size());
  reader.read(k_far, back);
  EXPECT_TRUE(back == data);
}

}  // namespace
}  // namespace hamal::testing
