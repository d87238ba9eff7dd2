// An nbdkit of our own, with a shell script in its place that says what it was given.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "hamal/config/config.hpp"
#include "hamal/platform/vmware/nbdkit_process.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "util/temporary_directory.hpp"

namespace hamal::vmware {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class VmwareNbdkit : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TMPDIR", directory.path().c_str(), 1);
    ::setenv("HAMAL_OTHER_SECRET", "of somebody else", 1);
  }
  void TearDown() override {
    ::unsetenv("HAMAL_OTHER_SECRET");
    ::unsetenv("TMPDIR");
  }

  /// `lines` run before it says that it serves, with the password's file as $secret.
  NbdkitCommand script(const std::string& lines) {
    const std::filesystem::path program = directory / "nbdkit";
    const UniqueFd file = open_file(program, O_CREAT | O_TRUNC | O_WRONLY);
    write_all(file.get(),
              "#!/bin/sh\ncd " + directory.path().string() +
                  "\nfor word; do case $word in password=+*) secret=${word#password=+};; esac; "
                  "done\n" +
                  lines + "\necho $$ > $6\nexec sleep 1000\n",
              program.string());
    ::fchmod(file.get(), S_IRWXU);
    return {.program = program.string(),
            .plugin = "vddk",
            .parameters = {"server=vc"},
            .password = "a secret",
            .object = "web01/2000"};
  }
  std::string told() { return read_file(directory / "told"); }

  test::TemporaryDirectory directory;
  CancelToken cancel;
};

// Break it: give it our environment.
TEST_F(VmwareNbdkit, GetsNoVariableThatItDoesNotNeed) {
  const NbdkitProcess process(script("env > told"), cancel);
  EXPECT_THAT(told(), AllOf(HasSubstr("PATH="), HasSubstr("TMPDIR="),
                            Not(HasSubstr("HAMAL_OTHER_SECRET"))));
}

// Break it: leave out fchmod(), or give the password as an argument.
TEST_F(VmwareNbdkit, ThePasswordIsInAFileThatIsItsOwnersAndInNoDirectory) {
  const NbdkitProcess process(
      script("{ stat -L -c 'mode %a links %h' $secret; cat $secret; echo; echo \"$*\"; } > told"),
      cancel);
  EXPECT_THAT(told(),
              AllOf(HasSubstr("mode 600 links 0\na secret\n"), Not(HasSubstr("password=a"))));
}

// Break it: leave forbid_core_dumps() out of resolve_secret(), or the limit out of it.
TEST_F(VmwareNbdkit, LeavesNoCoreDumpWithThePasswordInIt) {
  EXPECT_EQ(resolve_secret(parse_secret("a secret"), "test"), "a secret");
  const NbdkitProcess process(script("grep 'core file' /proc/self/limits > told"), cancel);
  EXPECT_THAT(told(), ::testing::ContainsRegex("Max core file size +[01] "));
}

// A number says nothing where containers share the directory. Break it: look for the process in
// /proc, or remove what is locked.
TEST_F(VmwareNbdkit, WhatAnotherLeftGoesAndWhatItHasStays) {
  const std::string mine = std::to_string(::getpid());
  const std::filesystem::path left = directory / ("hamal-vddk-" + mine + "-aaaaaa");
  const std::filesystem::path used = directory / "hamal-vddk-999999999-bbbbbb";
  std::filesystem::create_directory(left);
  std::filesystem::create_directory(used);
  const UniqueFd lock = open_file(used, O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::flock(lock.get(), LOCK_EX | LOCK_NB), 0);
  std::optional<NbdkitProcess> process;
  process.emplace(script(""), cancel);
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_TRUE(std::filesystem::exists(used));
  const std::filesystem::path own = process->directory();
  const NbdkitProcess next(script(""), cancel);
  EXPECT_TRUE(std::filesystem::exists(own)) << "one of ours was taken for left";
  process.reset();
  EXPECT_FALSE(std::filesystem::exists(own));
}

// Break it: leave SIGKILL out of end(): it waits for a process that does not hear.
TEST_F(VmwareNbdkit, OneThatDoesNotEndIsKilled) {
  std::optional<NbdkitProcess> process;
  process.emplace(script("trap '' TERM"), cancel);  // what exec keeps
  const pid_t pid = static_cast<pid_t>(std::stol(read_file(process->directory() / "pid")));
  process.reset();
  EXPECT_NE(::kill(pid, 0), 0);
}

TEST_F(VmwareNbdkit, OneThatEndsAtOnceIsAnErrorInItsOwnWords) {
  try {
    const NbdkitProcess process(script("echo 'VixDiskLib_InitEx: no such library' >&2; exit 1"),
                                cancel);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("VixDiskLib_InitEx: no such library"));
    EXPECT_EQ(error.object(), "web01/2000");
  }
}

}  // namespace
}  // namespace hamal::vmware
