// Pipes of programs: their lines, their statuses, and that nothing of them is left.
#include "hamal/period/process_pipe.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal::period {
namespace {

using testing::ElementsAre;

struct Said {
  std::vector<std::string> lines;
  LineSink sink() {
    return [this](const std::string& program, std::string_view line) {
      lines.push_back(program + ": " + std::string(line));
    };
  }
};

ProcessPipe shells(const std::vector<std::string>& scripts) {
  ProcessPipe pipe;
  for (const std::string& script : scripts) {
    pipe.stages.push_back({"sh", "-c", script});
  }
  pipe.environment = {"PATH=/usr/bin:/bin"};
  return pipe;
}

bool lives(const std::string& pid) {
  return ::kill(static_cast<pid_t>(std::stol(pid)), 0) == 0;
}

TEST(ProcessPipe, JoinsTheProgramsAndKeepsTheirStatuses) {
  Said said;
  const CancelToken cancel;
  const PipeResult result = run_pipe(shells({"echo one; echo two; echo 'first says' >&2; exit 3",
                                             "sed s/o/0/; printf 'no end' >&2; kill -9 $$"}),
                                     said.sink(), cancel);
  EXPECT_EQ(result.output, "0ne\ntw0\n");
  EXPECT_THAT(result.statuses, ElementsAre(3, 137));
  EXPECT_THAT(said.lines, testing::UnorderedElementsAre("sh: first says", "sh: no end"));
}

TEST(ProcessPipe, TheEnvironmentIsWhatWasGiven) {
  Said said;
  const CancelToken cancel;
  ProcessPipe pipe;
  pipe.stages = {{"env"}};
  pipe.environment = {"A=1", "B=x y"};
  EXPECT_EQ(run_pipe(pipe, said.sink(), cancel).output, "A=1\nB=x y\n");
}

TEST(ProcessPipe, OutputMayBeLinesOrAFile) {
  Said said;
  const CancelToken cancel;
  ProcessPipe pipe = shells({"echo out; echo err >&2"});
  pipe.output_is_lines = true;
  EXPECT_EQ(run_pipe(pipe, said.sink(), cancel).output, "");
  EXPECT_THAT(said.lines, ElementsAre("sh: out", "sh: err"));
  pipe.output_is_lines = false;
  pipe.output_file = testing::TempDir() + "/process_pipe_output";
  run_pipe(pipe, said.sink(), cancel);
  EXPECT_EQ(read_file(pipe.output_file), "out\n");
  std::filesystem::remove(pipe.output_file);
}

TEST(ProcessPipe, WhatRunsTooLongIsEndedWithAllItStarted) {
  Said said;
  const CancelToken cancel;
  ProcessPipe pipe = shells({"trap '' TERM; sleep 600 & echo $!; wait; sleep 600"});
  pipe.timeout = std::chrono::milliseconds(300);
  pipe.grace = std::chrono::milliseconds(300);
  const PipeResult result = run_pipe(pipe, said.sink(), cancel);
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.status(), 137);
  // Its child was given to init, which may take a moment to bury it.
  for (int tries = 0; tries < 600 && lives(result.output); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  std::ifstream state("/proc/" + result.output.substr(0, result.output.size() - 1) + "/stat");
  std::string word;
  state >> word >> word >> word;
  EXPECT_TRUE(word.empty() || word == "Z") << word;
}

TEST(ProcessPipe, ACancelIsASigterm) {
  Said said;
  CancelToken cancel;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    cancel.request(SIGTERM);
  });
  const PipeResult result =
      run_pipe(shells({"trap 'echo cleaned >&2; exit 9' TERM; while :; do sleep 0.1; done"}),
               said.sink(), cancel);
  canceller.join();
  EXPECT_EQ(result.status(), 9);
  EXPECT_THAT(said.lines, testing::Contains("sh: cleaned"));
}

TEST(ProcessPipe, ALockIsHeldByTheChildren) {
  Said said;
  const CancelToken cancel;
  const std::string path = testing::TempDir() + "/process_pipe_lock";
  UniqueFd lock = open_file(path, O_RDWR | O_CREAT);
  ASSERT_EQ(::flock(lock.get(), LOCK_EX | LOCK_NB), 0);
  ProcessPipe pipe = shells({"ls -l /proc/self/fd"});
  pipe.inherited = {lock.get()};
  EXPECT_THAT(run_pipe(pipe, said.sink(), cancel).output, testing::HasSubstr("process_pipe_lock"));
  pipe.inherited.clear();
  EXPECT_THAT(run_pipe(pipe, said.sink(), cancel).output,
              testing::Not(testing::HasSubstr("process_pipe_lock")));
  std::filesystem::remove(path);
}

TEST(ProcessPipe, AProgramThatIsNotThereEndsTheOthers) {
  Said said;
  const CancelToken cancel;
  ProcessPipe pipe = shells({"sleep 600"});
  pipe.stages.push_back({"/nowhere/at/all"});
  EXPECT_THROW(run_pipe(pipe, said.sink(), cancel), Error);
}

}  // namespace
}  // namespace hamal::period
