// Progress: the words, the JSON, the terminal, and the cost of counting.
#include "hamal/report/progress.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <pty.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "hamal/report/progress_format.hpp"
#include "hamal/report/progress_items.hpp"
#include "hamal/util/file.hpp"
#include "util/temporary_directory.hpp"

namespace hamal {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t k_gib = 1ULL << 30U;

TEST(ProgressText, SaysObjectPhaseAmountsRateAndEnd) {
  EXPECT_EQ(progress_text(ProgressView{"web01/disk0", "copying", 4 * k_gib, 10 * k_gib, 350e6}),
            "web01/disk0 copying 40% 4 GiB/10 GiB 333.8 MiB/s ETA 00:19");
  EXPECT_EQ(progress_text(ProgressView{"d", "planning", 0, 0, 0}), "d planning");
  EXPECT_EQ(progress_text(ProgressView{"d", "copying", 0, k_gib, 0}), "d copying 0% 0 B/1 GiB");
  EXPECT_EQ(progress_text(ProgressView{"d", "reading", 2048, 0, 1024}), "d reading 2 KiB 1 KiB/s");
}

TEST(ProgressText, AHundredPercentMeansAllOfIt) {
  EXPECT_EQ((ProgressView{"d", "p", k_gib - 1, k_gib, 1}).percent(), 99U);
  EXPECT_EQ((ProgressView{"d", "p", k_gib, k_gib, 1}).percent(), 100U);
  EXPECT_EQ((ProgressView{"d", "p", 2 * k_gib, k_gib, 1}).percent(), 100U);
  EXPECT_EQ((ProgressView{"d", "p", 2 * k_gib, k_gib, 1}).eta(), 0s);
  EXPECT_EQ((ProgressView{"d", "p", 0, k_gib, 1e-9}).eta(), std::nullopt);
}

TEST(ProgressText, SeveralDisksAreSummed) {
  const std::vector<ProgressView> views{{"a", "copying", k_gib, 2 * k_gib, 1 << 20},
                                        {"b", "flushing", 2 * k_gib, 2 * k_gib, 0}};
  EXPECT_EQ(progress_text(views),
            "2 disks 75% 3 GiB/4 GiB 1 MiB/s ETA 17:04: a copying, b flushing");
  const std::vector<ProgressView> unknown{{"a", "copying", k_gib, 2 * k_gib, 1 << 20},
                                          {"b", "planning", 0, 0, 0}};
  EXPECT_EQ(progress_text(unknown), "2 disks 1 GiB 1 MiB/s: a copying, b planning");
}

TEST(ProgressText, NamesCannotMoveTheCursor) {
  EXPECT_EQ(progress_text(ProgressView{"a\r\x1b[2J", "p", 0, 0, 0}), "a\\x0d\\x1b[2J p");
}

TEST(ProgressText, ClippingKeepsCharactersWhole) {
  EXPECT_EQ(clip_columns("abc", 3), "abc");
  EXPECT_EQ(clip_columns("abcd", 3), "abc");
  EXPECT_EQ(clip_columns("äöü", 2), "äö");
  EXPECT_EQ(clip_columns("abc", 0), "");
}

TEST(RateMeter, IsTheRateOfTheLastSeconds) {
  const RateMeter::TimePoint start{};
  RateMeter meter;
  EXPECT_EQ(meter.rate(), 0);
  meter.restart(start);
  EXPECT_EQ(meter.rate(), 0);
  meter.sample(start, 100);
  EXPECT_EQ(meter.rate(), 0);
  meter.sample(start + 2s, 1000);
  EXPECT_DOUBLE_EQ(meter.rate(), 500);
  for (int second = 3; second <= 60; ++second) {
    meter.sample(start + std::chrono::seconds(second), 1000);
  }
  EXPECT_EQ(meter.rate(), 0) << "a stall must show";
}

std::vector<nlohmann::json> lines_of(const std::string& text) {
  std::vector<nlohmann::json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    lines.push_back(nlohmann::json::parse(line));
  }
  return lines;
}

class ProgressFile : public testing::Test {
 protected:
  ProgressFile() : m_fd(open_file(m_directory / "out", O_WRONLY | O_CREAT | O_APPEND)) {}
  std::string text() const { return read_file(m_directory / "out"); }

  test::TemporaryDirectory m_directory;
  UniqueFd m_fd;
};

TEST_F(ProgressFile, JsonSpeaksAtEachPhaseOnceASecondAndAtTheEnd) {
  {
    const auto progress = make_progress(ProgressMode::json, m_fd.get());
    progress->phase("vm/\xff", "planning", 0);
    progress->phase("vm/\xff", "copying", 1000);
    progress->advance("vm/\xff", 400);
    // A slow machine may have it speak before and again.
    while (text().find("\"done\":400") == std::string::npos) {
      std::this_thread::sleep_for(10ms);
    }
    progress->advance("vm/\xff", 600);
    progress->done("vm/\xff");
  }
  std::map<std::string, std::vector<nlohmann::json>> events;
  for (const auto& line : lines_of(text())) {
    events[line["event"]].push_back(line);
  }
  ASSERT_EQ(events["phase"].size(), 2U) << text();
  EXPECT_EQ(events["phase"][0]["phase"], "planning");
  EXPECT_TRUE(events["phase"][0]["total"].is_null());
  EXPECT_EQ(events["phase"][1]["total"], 1000);
  const auto at_400 = std::find_if(
      events["progress"].begin(), events["progress"].end(),
      [](const auto& line) { return line["phase"] == "copying" && line["done"] == 400; });
  ASSERT_NE(at_400, events["progress"].end()) << text();
  EXPECT_GT((*at_400)["rate"], 0);
  EXPECT_TRUE((*at_400)["eta_seconds"].is_number());
  ASSERT_EQ(events["done"].size(), 1U) << text();
  EXPECT_EQ(events["done"][0]["done"], 1000);
  EXPECT_EQ(events["done"][0]["object"], "vm/\xef\xbf\xbd");
}

TEST_F(ProgressFile, QuietAndAutomaticInAPipeSayNothing) {
  for (const ProgressMode mode : {ProgressMode::quiet, ProgressMode::automatic}) {
    const auto progress = make_progress(mode, m_fd.get());
    progress->phase("a", "copying", 10);
    progress->advance("a", 10);
    progress->done("a");
  }
  EXPECT_THAT(text(), IsEmpty());
}

TEST_F(ProgressFile, TextInAFileIsLinesThatStay) {
  {
    const auto progress = make_progress(ProgressMode::text, m_fd.get());
    progress->phase("a", "copying", 1024);
    progress->advance("a", 1024);
    progress->done("a");
  }
  EXPECT_THAT(text(), testing::StartsWith("a copying 0% 0 B/1 KiB\na copying 100% 1 KiB/1 KiB"));
  EXPECT_THAT(text(), testing::EndsWith(" done\n"));
  EXPECT_EQ(text().find('\r'), std::string::npos);
}

TEST_F(ProgressFile, WhatWasNotBegunIsIgnored) {
  const auto progress = make_progress(ProgressMode::json, m_fd.get());
  progress->advance("a", 1);
  progress->done("a");
  EXPECT_THAT(text(), IsEmpty());
}

TEST_F(ProgressFile, CountsOfManyThreadsAddUpAndAreCheap) {
  constexpr int k_threads = 4;
  constexpr int k_calls = 100'000;
  const auto used = [] {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  };
  const auto start = used();
  {
    const auto progress = make_progress(ProgressMode::json, m_fd.get());
    progress->phase("web01/disk0", "copying", 0);
    std::vector<std::thread> threads;
    for (int i = 0; i < k_threads; ++i) {
      threads.emplace_back([&progress] {
        for (int call = 0; call < k_calls; ++call) {
          progress->advance("web01/disk0", 3);
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    progress->done("web01/disk0");
  }
  EXPECT_EQ(lines_of(text()).back()["done"], 3 * k_threads * k_calls);
  // Of the processor, whoever else wants it: 10 µs per call, ten times what a sanitizer costs.
  EXPECT_LT(used() - start, 4s);
}

// The screen's end of a terminal of 40 columns.
class Terminal {
 public:
  Terminal() {
    winsize size{24, 40, 0, 0};
    int screen = -1;
    int program = -1;
    if (::openpty(&screen, &program, nullptr, nullptr, &size) != 0) {
      throw std::runtime_error("openpty failed");
    }
    m_screen = UniqueFd(screen);
    m_program = UniqueFd(program);
    ::fcntl(screen, F_SETFL, O_NONBLOCK);
  }
  int fd() const { return m_program.get(); }
  std::string seen() const {
    std::string text;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::read(m_screen.get(), buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(got));
    }
    return text;
  }

 private:
  UniqueFd m_screen;
  UniqueFd m_program;
};

constexpr const char* k_erase = "\r\x1b[K";

TEST(ProgressTerminal, RedrawsOneLineAndErasesItAtTheEnd) {
  const Terminal terminal;
  const auto progress = make_progress(ProgressMode::automatic, terminal.fd());
  progress->phase("web01/a-disk-with-a-long-name", "copying", 1000);
  const auto start = std::chrono::steady_clock::now();
  std::string text;
  while (std::count(text.begin(), text.end(), '\r') < 2) {
    progress->advance("web01/a-disk-with-a-long-name", 5);
    std::this_thread::sleep_for(70ms);
    text += terminal.seen();
  }
  progress->done("web01/a-disk-with-a-long-name");
  text += terminal.seen();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_THAT(text, HasSubstr(std::string(k_erase) + "web01/a-disk-with-a-long-name copying "));
  EXPECT_THAT(text, testing::EndsWith(k_erase));
  EXPECT_EQ(text.find('\n'), std::string::npos);
  std::size_t drawn = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line, '\r');) {
    EXPECT_LE(line.size(), 39U + 3U) << line;  // and the three bytes of the erasing
    drawn += line.size() > 3 ? 1U : 0U;
  }
  EXPECT_GE(drawn, 2U);
  EXPECT_LE(static_cast<double>(drawn), 1 + 5 * elapsed.count()) << "at most five times a second";
}

TEST(ProgressTerminal, IsErasedWhenAnErrorEndsTheRun) {
  const Terminal terminal;
  std::string text;
  {
    const auto progress = make_progress(ProgressMode::automatic, terminal.fd());
    progress->phase("a", "copying", 1000);
    while (text.empty()) {
      std::this_thread::sleep_for(10ms);
      text = terminal.seen();
    }
  }
  EXPECT_THAT(text + terminal.seen(), testing::EndsWith(k_erase));
}

}  // namespace
}  // namespace hamal
