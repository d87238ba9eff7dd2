// Secrets by reference, and the ones that are refused.
#include <gmock/gmock.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <cstdlib>

#include "hamal/config/config.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "util/temporary_directory.hpp"

namespace hamal {
namespace {

using testing::HasSubstr;
using Kind = SecretReference::Kind;

std::string refusal(const std::string& text) {
  try {
    resolve_secret(parse_secret(text), "[mass] auth_key");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_EQ(error.object(), "[mass] auth_key");
    return error.what();
  }
  ADD_FAILURE() << "accepted: " << text;
  return {};
}

std::string resolve(const std::string& text) {
  return resolve_secret(parse_secret(text), "x");
}

TEST(Secret, PrefixesTellTheKind) {
  EXPECT_EQ(parse_secret("").kind, Kind::none);
  EXPECT_EQ(parse_secret("abc").kind, Kind::plain);
  EXPECT_EQ(parse_secret("http:x").value, "http:x");
  EXPECT_EQ(parse_secret("file:/a").kind, Kind::file);
  EXPECT_EQ(parse_secret("env:A").value, "A");
  EXPECT_EQ(parse_secret("credential:c").kind, Kind::credential);
}

// Break it: leave forbid_core_dumps() out of resolve_secret().
TEST(Secret, WhoeverHasOneLeavesNoCoreDump) {
  ASSERT_EQ(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
  resolve("plain");
  EXPECT_EQ(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
}

TEST(Secret, IsReadWithoutItsNewline) {
  const test::TemporaryDirectory directory;
  write_file_atomically(directory / "a", "s e c\n");
  EXPECT_EQ(resolve("file:" + (directory / "a").string()), "s e c");
  write_file_atomically(directory / "a", "two\nlines\r\n");
  EXPECT_EQ(resolve("file:" + (directory / "a").string()), "two\nlines");
  EXPECT_EQ(resolve("plain"), "plain");
}

TEST(Secret, AFileThatOthersCanReadIsRefusedAndOfAGroupIsNot) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "a";
  write_file_atomically(path, "hunter2\n");
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  EXPECT_EQ(resolve("file:" + path), "hunter2");
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  const std::string message = refusal("file:" + path);
  EXPECT_THAT(message, HasSubstr("mode 0644"));
  EXPECT_THAT(message, testing::Not(HasSubstr("hunter2")));
}

TEST(Secret, WhatCannotBeReadIsNamed) {
  const test::TemporaryDirectory directory;
  EXPECT_THAT(refusal("file:/nonexistent"), HasSubstr("/nonexistent: cannot open"));
  EXPECT_THAT(refusal("file:" + directory.path().string()), HasSubstr("not a regular file"));
  ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(refusal("file:" + (directory / "fifo").string()), HasSubstr("not a regular file"));
  write_file_atomically(directory / "empty", "\n");
  EXPECT_THAT(refusal("file:" + (directory / "empty").string()), HasSubstr("empty"));
  write_file_atomically(directory / "huge", std::string((64U << 10U) + 1, 'x'));
  EXPECT_THAT(refusal("file:" + (directory / "huge").string()), HasSubstr("larger than"));
  EXPECT_THAT(refusal(""), HasSubstr("no secret is configured"));
}

TEST(Secret, ComesFromTheEnvironment) {
  ::setenv("HAMAL_TEST_SECRET", "from env", 1);
  EXPECT_EQ(resolve("env:HAMAL_TEST_SECRET"), "from env");
  ::unsetenv("HAMAL_TEST_SECRET");
  EXPECT_THAT(refusal("env:HAMAL_TEST_SECRET"), HasSubstr("HAMAL_TEST_SECRET is not set"));
}

TEST(Secret, ComesFromASystemdCredential) {
  const test::TemporaryDirectory directory;
  write_file_atomically(directory / "key", "credited\n");
  ::unsetenv("CREDENTIALS_DIRECTORY");
  EXPECT_THAT(refusal("credential:key"), HasSubstr("LoadCredential=key"));
  ::setenv("CREDENTIALS_DIRECTORY", directory.path().c_str(), 1);
  EXPECT_EQ(resolve("credential:key"), "credited");
  EXPECT_THAT(refusal("credential:other"), HasSubstr("cannot open"));
  EXPECT_THAT(refusal("credential:../key"), HasSubstr("not a plain name"));
  ::unsetenv("CREDENTIALS_DIRECTORY");
}

}  // namespace
}  // namespace hamal
