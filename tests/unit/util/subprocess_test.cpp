// Child processes: outputs, exit codes, and children that misbehave.
#include "hamal/util/subprocess.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

ProcessResult shell(const std::string& script) {
  return run_process({"sh", "-c", script});
}

TEST(Subprocess, CapturesBothOutputsApart) {
  const ProcessResult result = shell("echo out; echo err >&2; exit 3");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.stdout_text, "out\n");
  EXPECT_EQ(result.stderr_text, "err\n");
}

TEST(Subprocess, ArgumentsAreNotForAShell) {
  EXPECT_EQ(run_process({"printf", "%s|", "a b", "$HOME", "*"}).stdout_text, "a b|$HOME|*|");
}

TEST(Subprocess, ASignalIs128AndItsNumber) {
  EXPECT_EQ(shell("kill -9 $$").exit_code, 137);
}

TEST(Subprocess, InputIsEmpty) {
  EXPECT_EQ(run_process({"cat"}).stdout_text, "");
}

TEST(Subprocess, MuchOnBothOutputsDoesNotBlock) {
  const ProcessResult result =
      shell("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero");
  EXPECT_EQ(result.stdout_text.size(), 6'000'000U);
  EXPECT_EQ(result.stderr_text.size(), 3'000'000U);
}

TEST(Subprocess, OutputBeyondTheLimitIsDroppedAndTheChildFinishes) {
  const ProcessResult result = shell("head -c 20000000 /dev/zero; exit 5");
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_EQ(result.stdout_text.size(), 16U << 20U);
}

TEST(Subprocess, ADaemonThatKeepsThePipesIsNotWaitedFor) {
  const auto start = std::chrono::steady_clock::now();
  const std::string daemon = shell("sleep 300 & echo $!").stdout_text;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(200));
  ::kill(std::stoi(daemon), SIGKILL);
}

TEST(Subprocess, TheChildDiesOfABrokenPipeThoughWeIgnoreIt) {
  const auto before = std::signal(SIGPIPE, SIG_IGN);  // NOLINT: the macro's cast is the system's
  const ProcessResult result = shell("kill -PIPE $$; echo alive");
  std::signal(SIGPIPE, before);
  EXPECT_EQ(result.exit_code, 128 + SIGPIPE);
  EXPECT_EQ(result.stdout_text, "");
}

TEST(Subprocess, WhatCannotBeStartedIsNamed) {
  try {
    run_process({"hamal-no-such-program", "x"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.object(), "hamal-no-such-program");
  }
  EXPECT_THROW(run_process({"/etc/passwd"}), Error);
  EXPECT_THROW(run_process({}), Error);
}

}  // namespace
}  // namespace hamal
