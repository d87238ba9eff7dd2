// The kernel lock: exclusion, the holder's name, waiting, stopping, and death.
#include "hamal/util/file_lock.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <thread>

#include "hamal/util/error.hpp"
#include "temporary_directory.hpp"

namespace hamal {
namespace {

using std::chrono::milliseconds;
using test::TemporaryDirectory;

const LockHolder k_holder{"1a2b3c4d", "hamal-sync"};

TEST(FileLock, TheSecondIsToldWhoTheFirstIs) {
  const TemporaryDirectory directory;
  const CancelToken token;
  const FileLock first(directory / "locks/a", "vm web01", k_holder, milliseconds(0), token);
  try {
    const FileLock second(directory / "locks/a", "vm web01", k_holder, milliseconds(0), token);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::busy);
    EXPECT_EQ(error.object(), "vm web01");
    const std::string text = error.what();
    EXPECT_NE(
        text.find("pid=" + std::to_string(::getpid()) + " run=1a2b3c4d tool=hamal-sync since="),
        std::string::npos)
        << text;
    EXPECT_NE(text.find("--wait"), std::string::npos);
  }
}

TEST(FileLock, IsFreeAfterItsHolderAndNamesNobodyThen) {
  const TemporaryDirectory directory;
  const CancelToken token;
  {
    const FileLock first(directory / "a", "x", k_holder, milliseconds(0), token);
    EXPECT_NE(read_lock_holder(directory / "a"), "");
  }
  EXPECT_EQ(read_lock_holder(directory / "a"), "");
  EXPECT_NO_THROW(FileLock(directory / "a", "x", k_holder, milliseconds(0), token));
}

TEST(FileLock, MovesWithoutBeingFreed) {
  const TemporaryDirectory directory;
  const CancelToken token;
  FileLock first(directory / "a", "x", k_holder, milliseconds(0), token);
  const FileLock moved = std::move(first);
  EXPECT_THROW(FileLock(directory / "a", "x", k_holder, milliseconds(0), token), Error);
}

TEST(FileLock, WaitsAsLongAsAskedAndNoLonger) {
  const TemporaryDirectory directory;
  const CancelToken token;
  std::optional<FileLock> first(std::in_place, directory / "a", "x", k_holder, milliseconds(0),
                                token);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(FileLock(directory / "a", "x", k_holder, milliseconds(250), token), Error);
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(250));
  std::thread other([&first] {
    std::this_thread::sleep_for(milliseconds(50));
    first.reset();
  });
  EXPECT_NO_THROW(FileLock(directory / "a", "x", k_holder, milliseconds(60'000), token));
  other.join();
}

TEST(FileLock, AStopEndsTheWait) {
  const TemporaryDirectory directory;
  CancelToken token;
  const FileLock first(directory / "a", "x", k_holder, milliseconds(0), token);
  token.request(SIGTERM);
  try {
    const FileLock second(directory / "a", "x", k_holder, milliseconds(60'000), token);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::terminated);
  }
}

TEST(FileLock, AKilledHolderFreesIt) {
  const TemporaryDirectory directory;
  const CancelToken token;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const FileLock lock(directory / "a", "x", {"child", "t"}, milliseconds(0), token);
    [[maybe_unused]] const auto ignored = ::write(ready[1], "x", 1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THROW(FileLock(directory / "a", "x", k_holder, milliseconds(0), token), Error);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const FileLock mine(directory / "a", "x", k_holder, milliseconds(0), token);
  EXPECT_EQ(read_lock_holder(directory / "a").find("run=child"), std::string::npos);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(FileLock, APlaceThatCannotBeMadeIsNamed) {
  const CancelToken token;
  try {
    const FileLock lock("/proc/nowhere/a", "x", k_holder, milliseconds(0), token);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.kind(), ErrorKind::busy);
    EXPECT_EQ(error.object(), "/proc/nowhere");
  }
}

}  // namespace
}  // namespace hamal
