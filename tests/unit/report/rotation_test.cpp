// Rotation: by size, daily, none, and by several processes at once.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "hamal/report/log.hpp"
#include "hamal/report/rotating_file.hpp"
#include "hamal/util/file.hpp"
#include "util/temporary_directory.hpp"

namespace hamal {
namespace {

using testing::ElementsAre;

class Rotation : public testing::Test {
 protected:
  std::filesystem::path log() const { return m_directory / "a.log"; }
  std::string content(const std::string& suffix = {}) const {
    return read_file(log().string() + suffix);
  }
  std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(m_directory.path())) {
      found.insert(entry.path().filename().string());
    }
    return found;
  }
  // The file's last line was written so many days ago.
  std::string age(int days) const {
    const std::time_t then = std::time(nullptr) - days * 86'400LL;
    const timespec times[2] = {{then, 0}, {then, 0}};
    EXPECT_EQ(::utimensat(AT_FDCWD, log().c_str(), times, 0), 0);
    return log_day(then);
  }

  test::TemporaryDirectory m_directory;
};

TEST_F(Rotation, BySizeKeepsTheLastFiles) {
  RotatingFile file(log(), {LogRotation::size, 2, 8});
  for (const char* line : {"one\n", "two\n", "three\n", "four\n", "five5\n", "six666\n"}) {
    file.append(line);
  }
  EXPECT_EQ(content(), "six666\n");
  EXPECT_EQ(content(".1"), "five5\n");
  EXPECT_EQ(content(".2"), "four\n");
  EXPECT_THAT(names(), ElementsAre(".a.log.lock", "a.log", "a.log.1", "a.log.2"));
}

TEST_F(Rotation, BySizeFillsAFileToItsLimit) {
  RotatingFile file(log(), {LogRotation::size, 2, 8});
  file.append("one\n");
  file.append("two\n");
  EXPECT_EQ(content(), "one\ntwo\n");
  file.append("a line above the limit\n");
  EXPECT_EQ(content(), "a line above the limit\n");
  EXPECT_EQ(content(".1"), "one\ntwo\n");
}

TEST_F(Rotation, DailyGivesADayItsName) {
  RotatingFile file(log(), {LogRotation::daily, 2, 0});
  file.append("old\n");
  const std::string first = age(3);
  file.append("new\n");
  file.append("newer\n");
  EXPECT_EQ(content("." + first), "old\n");
  EXPECT_EQ(content(), "new\nnewer\n");
}

TEST_F(Rotation, DailyKeepsTheLastFilesAndNothingElseIsRemoved) {
  write_file_atomically(m_directory / "a.log.note", "mine");
  RotatingFile file(log(), {LogRotation::daily, 2, 0});
  std::vector<std::string> days;
  for (const int days_ago : {9, 7, 5, 3}) {
    file.append("x\n");
    days.push_back(age(days_ago));
  }
  file.append("today\n");
  EXPECT_THAT(names(), ElementsAre(".a.log.lock", "a.log", "a.log." + days[2], "a.log." + days[3],
                                   "a.log.note"));
}

TEST_F(Rotation, DailyNeverReplacesADayThatIsThere) {
  RotatingFile file(log(), {LogRotation::daily, 5, 0});
  file.append("first\n");
  const std::string day = age(1);
  write_file_atomically(log().string() + "." + day, "before\n");
  file.append("second\n");
  EXPECT_EQ(content("." + day), "before\n");
  EXPECT_EQ(content(), "first\nsecond\n");
}

TEST_F(Rotation, NoneGrows) {
  RotatingFile file(log(), {LogRotation::none, 1, 1});
  file.append("one\n");
  age(3);
  file.append("two\n");
  EXPECT_EQ(content(), "one\ntwo\n");
  EXPECT_THAT(names(), ElementsAre("a.log"));
}

TEST_F(Rotation, AnotherProgramMayMoveTheFile) {
  RotatingFile file(log(), {LogRotation::none, 1, 1});
  file.append("one\n");
  std::filesystem::rename(log(), log().string() + ".moved");
  file.append("two\n");
  EXPECT_EQ(content(".moved"), "one\n");
  EXPECT_EQ(content(), "two\n");
}

TEST_F(Rotation, ARotationThatFailsLosesNoLine) {
  std::filesystem::create_directory(log().string() + ".1");
  write_file_atomically(log().string() + ".1/file", "in the way");
  RotatingFile file(log(), {LogRotation::size, 1, 4});
  file.append("one\n");
  EXPECT_ANY_THROW(file.append("two\n"));
  EXPECT_EQ(content(), "one\ntwo\n");
}

TEST_F(Rotation, AStoppedRotationDelaysButDoesNotStopOthers) {
  RotatingFile file(log(), {LogRotation::size, 1, 4});
  file.append("one\n");
  const UniqueFd other = open_file(m_directory / ".a.log.lock", O_RDWR | O_CREAT);
  ASSERT_EQ(::flock(other.get(), LOCK_EX), 0);
  for (int i = 0; i < 100; ++i) {
    file.append("two\n");
  }
  EXPECT_EQ(content().size(), 404U);
}

constexpr int k_processes = 4;
constexpr int k_lines = 10'000;

[[noreturn]] void write_lines(const std::string& directory, int process) {
  LogSettings settings;
  settings.directory = directory;
  settings.file_name = "a.log";
  settings.run_id = "p" + std::to_string(process);
  settings.max_files = 100;
  settings.max_megabytes = 1;
  Logger logger(settings);
  for (int i = 0; i < k_lines; ++i) {
    logger.info("line {} {}", i, std::string(static_cast<std::size_t>(60 + i % 50), 'x'));
  }
  ::_exit(0);
}

TEST_F(Rotation, SeveralProcessesTearAndLoseNothing) {
  for (int process = 0; process < k_processes; ++process) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      write_lines(m_directory.path(), process);
    }
  }
  for (int process = 0; process < k_processes; ++process) {
    int status = -1;
    ASSERT_GT(::wait(&status), 0);
    ASSERT_EQ(status, 0);
  }
  std::map<std::string, int> seen;
  std::size_t files = 0;
  for (const std::string& name : names()) {
    if (name.ends_with(".lock")) {
      continue;
    }
    ++files;
    EXPECT_LE(std::filesystem::file_size(m_directory / name), (1U << 20U) + 1000) << name;
    std::ifstream in(m_directory / name);
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::string time;
      std::string level;
      std::string run;
      std::string word;
      std::string filler;
      int number = -1;
      words >> time >> level >> run >> word >> number >> filler;
      ASSERT_EQ(filler, std::string(static_cast<std::size_t>(60 + number % 50), 'x')) << line;
      ASSERT_EQ(level + word, "INFOline") << line;
      ++seen[run + " " + std::to_string(number)];
    }
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(k_processes * k_lines));
  for (const auto& [line, times] : seen) {
    ASSERT_EQ(times, 1) << line;
  }
  EXPECT_GE(files, 4U) << "no rotation took place";
}

}  // namespace
}  // namespace hamal
