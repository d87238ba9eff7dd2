// Stopping: tokens, sleeping under one, and the signal handlers.
#include "hamal/util/cancel.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

ErrorKind kind_of(const CancelToken& token) {
  try {
    token.check();
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::failed;
}

TEST(CancelToken, IsQuietUntilRequested) {
  const CancelToken token;
  EXPECT_FALSE(token.requested());
  EXPECT_NO_THROW(token.check());
  EXPECT_NO_THROW(token.sleep_ms(1));
  pollfd entry{token.poll_fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&entry, 1, 0), 0);
}

TEST(CancelToken, TellsTheSignalsApart) {
  CancelToken interrupted;
  interrupted.request(SIGINT);
  EXPECT_EQ(kind_of(interrupted), ErrorKind::interrupted);
  CancelToken terminated;
  terminated.request(SIGTERM);
  EXPECT_EQ(kind_of(terminated), ErrorKind::terminated);
}

TEST(CancelToken, StaysReadable) {
  CancelToken token;
  token.request(SIGTERM);
  for (int i = 0; i < 2; ++i) {
    pollfd entry{token.poll_fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&entry, 1, 0), 1);
  }
}

TEST(CancelToken, WakesASleeper) {
  CancelToken token;
  const auto start = std::chrono::steady_clock::now();
  std::thread other([&token] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    token.request(SIGINT);
  });
  EXPECT_THROW(token.sleep_ms(60'000), Error);
  other.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

// In a child: the handlers and the process's token cannot be taken back.
TEST(CancelToken, SignalsRequestTheProcessTokenAndBrokenPipesDoNotKill) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    install_signal_handlers();
    std::raise(SIGPIPE);
    const bool before = process_cancel_token().requested();
    std::raise(SIGTERM);
    const bool right = !before && kind_of(process_cancel_token()) == ErrorKind::terminated;
    ::_exit(right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace hamal
