// The log: its format, its levels, its mirror, and what cannot be written.
#include "hamal/report/log.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <regex>

#include "captured_stderr.hpp"
#include "hamal/util/file.hpp"
#include "util/temporary_directory.hpp"

namespace hamal {
namespace {

using testing::HasSubstr;
using testing::Not;

class Log : public testing::Test {
 protected:
  LogSettings settings(LogLevel level = LogLevel::info) const {
    LogSettings made;
    made.directory = m_directory / "logs/deep";
    made.file_name = "hamal-test.log";
    made.level = level;
    made.run_id = "1a2b3c4d";
    return made;
  }
  std::string content() const { return read_file(m_directory / "logs/deep/hamal-test.log"); }

  test::TemporaryDirectory m_directory;
};

// Without the time stamps, whose form is checked.
std::string without_times(const std::string& text) {
  const std::regex time("(^|\n)\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z ");
  return std::regex_replace(text, time, "$1");
}

TEST_F(Log, ALineHasTimeLevelRunAndVm) {
  Logger logger(settings());
  logger.info("started with {} disks", 2);
  logger.set_vm("web01");
  logger.warning("slow");
  logger.set_vm("");
  logger.error("failed");
  EXPECT_EQ(without_times(content()),
            "INFO run=1a2b3c4d started with 2 disks\n"
            "WARNING run=1a2b3c4d vm=web01 slow\n"
            "ERROR run=1a2b3c4d failed\n");
}

TEST_F(Log, LevelsAreAFloor) {
  {
    Logger logger(settings(LogLevel::warning));
    logger.debug("d");
    logger.info("i");
    logger.warning("w");
    logger.error("e");
  }
  EXPECT_EQ(without_times(content()), "WARNING run=1a2b3c4d w\nERROR run=1a2b3c4d e\n");
  Logger all(settings(LogLevel::debug));
  all.debug("d");
  EXPECT_THAT(content(), HasSubstr("DEBUG run=1a2b3c4d d\n"));
}

TEST_F(Log, OffWritesNothingAndMakesNoFile) {
  Logger logger(settings(LogLevel::off));
  logger.error("e");
  EXPECT_FALSE(std::filesystem::exists(m_directory / "logs"));
}

TEST_F(Log, AMessageStaysALineAndIsNoFormat) {
  Logger logger(settings());
  logger.log(LogLevel::info, "a\nb {} {0} \x1b[2J %s");
  logger.set_vm("my \"vm\"\n");
  logger.log(LogLevel::info, "c");
  EXPECT_EQ(without_times(content()),
            "INFO run=1a2b3c4d a\\nb {} {0} \\x1b[2J %s\n"
            "INFO run=1a2b3c4d vm=\"my \\\"vm\\\"\\n\" c\n");
}

TEST_F(Log, FilesAndDirectoriesArePrivate) {
  Logger logger(settings());
  logger.info("x");
  struct stat status {};
  ASSERT_EQ(::stat((m_directory / "logs/deep/hamal-test.log").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  ASSERT_EQ(::stat((m_directory / "logs/deep").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0700U);
}

TEST_F(Log, TheMirrorSaysTheSameOnStderr) {
  const test::CapturedStderr captured(m_directory / "stderr");
  LogSettings mirrored = settings();
  mirrored.mirror = true;
  Logger logger(mirrored);
  logger.info("seen");
  EXPECT_EQ(captured.text(), content());
  EXPECT_THAT(captured.text(), HasSubstr("INFO run=1a2b3c4d seen\n"));
}

TEST_F(Log, WithoutAMirrorStderrStaysEmpty) {
  const test::CapturedStderr captured(m_directory / "stderr");
  Logger logger(settings());
  logger.error("x");
  Logger discarding;
  discarding.error("x");
  discarding.set_vm("x");
  EXPECT_EQ(captured.text(), "");
}

TEST_F(Log, WhatCannotBeWrittenIsToldOnceAndHarmsNothing) {
  const test::CapturedStderr captured(m_directory / "stderr");
  LogSettings broken = settings();
  broken.directory = "/proc/nowhere";
  Logger logger(broken);
  for (int i = 0; i < 3; ++i) {
    logger.info("x");
  }
  const std::string text = captured.text();
  EXPECT_THAT(text, HasSubstr("the log is not written: /proc/nowhere"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST_F(Log, AFullDeviceIsToldOnce) {
  const test::CapturedStderr captured(m_directory / "stderr");
  LogSettings full = settings();
  full.directory = "/dev";
  full.file_name = "full";
  Logger logger(full);
  logger.info("x");
  logger.info("x");
  EXPECT_THAT(captured.text(), HasSubstr("No space left"));
}

TEST_F(Log, ARemovedFileIsMadeAgain) {
  Logger logger(settings());
  logger.info("one");
  std::filesystem::remove_all(m_directory / "logs");
  logger.info("two");
  EXPECT_EQ(without_times(content()), "INFO run=1a2b3c4d two\n");
}

}  // namespace
}  // namespace hamal
