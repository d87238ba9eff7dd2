// [job NAME], typed; the command lines made of it, and their quoting.
#include "hamal/period/job.hpp"

#include <gmock/gmock.h>

#include "hamal/period/command_lines.hpp"
#include "hamal/period/sync_report.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/subprocess.hpp"

namespace hamal::period {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::string k_platform = "[platform lab]\ntype=file\npath=/srv\n";
const std::string k_job = "[job j]\nplatform=lab\nvm=web*\ntarget=dir:/backups\n";

Job job_from(const std::string& lines) {
  return jobs_of(parse_config(k_platform + k_job + lines, "t")).at(0);
}

std::string refusal(const std::string& text) {
  try {
    jobs_of(parse_config(text, "t"));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "was taken";
}

TEST(Job, EveryKey) {
  const Job job = job_from(
      "schedule=30 2 * * *\nwindow=22:00-06:00, 12:00-13:00\npriority=-5\n"
      "bwlimit=08:00-18:00 10M, 50M\nretention=last=7 within=30d\nquiesce=try\n"
      "pre_hook=/bin/a\npost_hook=/bin/b\nhook_timeout=10s\nhook_failure=warn\n");
  EXPECT_FALSE(job.interval);
  EXPECT_TRUE(job.schedule);
  EXPECT_EQ(job.windows.size(), 2U);
  EXPECT_EQ(job.priority, -5);
  ASSERT_EQ(job.bandwidth.size(), 2U);
  EXPECT_EQ(job.bandwidth[1].bytes_per_second, 50U << 20U);
  EXPECT_THAT(job.keep, ElementsAre("--keep-last", "7", "--keep-within", "30d"));
  EXPECT_EQ(job.quiesce, "try");
  EXPECT_EQ(job.hooks.before, "/bin/a");
  EXPECT_EQ(job.hooks.after, "/bin/b");
  EXPECT_EQ(job.hooks.timeout, std::chrono::seconds(10));
  EXPECT_EQ(job.hooks.failure, HookFailure::is_warned_about);
  EXPECT_TRUE(job.into_repository());
}

TEST(Job, MistakesAreNamedWithTheirLine) {
  const std::string whole = k_platform + k_job;
  EXPECT_THAT(refusal(whole), HasSubstr("missing, and there is no schedule"));
  EXPECT_THAT(refusal(whole + "interval=1h\nschedule=daily\n"), HasSubstr("t:9"));
  EXPECT_THAT(refusal(whole + "schedule=often\n"), HasSubstr("\"often\" is no calendar"));
  EXPECT_THAT(refusal(whole + "interval=1h\nwindow=22-6\n"), HasSubstr("HH:MM-HH:MM"));
  EXPECT_THAT(refusal(whole + "interval=1h\nbwlimit=10\n"), HasSubstr("at least 1K"));
  EXPECT_THAT(refusal(whole + "interval=1h\nretention=last\n"), HasSubstr("\"last\" is nothing"));
  EXPECT_THAT(refusal(whole + "interval=1h\nretention=ever=1\n"), HasSubstr("write last=N"));
  EXPECT_THAT(refusal(whole + "interval=1h\npriority=1000\n"), HasSubstr("-100 to 100"));
  EXPECT_THAT(refusal("[job j]\nplatform=la\nvm=a\ntarget=x\ninterval=1h\n" + k_platform),
              HasSubstr("there is no [platform la] (did you mean lab?)"));
  EXPECT_THAT(refusal(k_platform + "[job j]\nplatform=lab\nvm=a\ntarget=file:/x\ninterval=1h\n"
                                   "retention=last=1\n"),
              HasSubstr("keeps one version only"));
}

TEST(Job, Patterns) {
  for (const auto& [pattern, text] : std::vector<std::pair<std::string, std::string>>{
           {"*", ""}, {"web*", "web01"}, {"w?b", "web"}, {"*b*1", "web-b01"}, {"a*a*a", "aXaa"}}) {
    EXPECT_TRUE(matches_pattern(pattern, text)) << pattern;
  }
  for (const auto& [pattern, text] : std::vector<std::pair<std::string, std::string>>{
           {"", "a"}, {"web", "web1"}, {"?", ""}, {"*b", "ba"}, {"a*a", "a"}}) {
    EXPECT_FALSE(matches_pattern(pattern, text)) << pattern;
  }
}

const VmName k_vm{.platform = "lab", .id = "-w e\nb'", .name = "we b"};

TEST(CommandLines, OfARepository) {
  const Job job = job_from("interval=1h\nretention=last=1\nquiesce=require\n");
  const Share share{.disks = 2, .memory = 1048576, .bytes_per_second = 4096};
  const CommandLines lines = command_lines(job, k_vm, share, "/l/d.json", "/etc/h.conf");
  EXPECT_THAT(lines.create, ElementsAre("hamal-snapshot", "--config", "/etc/h.conf", "create",
                                        "--quiesce", "require", "lab:-w%20e%0Ab%27"));
  EXPECT_THAT(lines.sync,
              ElementsAre("hamal-sync", "--config", "/etc/h.conf", "-", "--target", "dir:/backups",
                          "--json", "--progress", "text", "--parallel-disks", "2", "--memory-limit",
                          "1048576", "--bwlimit", "4096"));
  EXPECT_EQ(lines.finish_failed.back(), "--failed");
  EXPECT_THAT(lines.prune, testing::Contains("lab:-w e\nb'"));
  EXPECT_THAT(shell_script(lines), HasSubstr(" > /l/d.json && {\n"));
}

TEST(CommandLines, OfAFile) {
  Job job = job_from("interval=1h\n");
  job.target = "file:/x/{vm}.raw";
  const CommandLines lines = command_lines(job, k_vm, {}, "/l/d.json", {});
  EXPECT_TRUE(lines.commit.empty());
  EXPECT_TRUE(lines.prune.empty());
  EXPECT_THAT(lines.read, ElementsAre("hamal-cbt-read", "/l/d.json", "--target", job.target));
  EXPECT_THAT(shell_script(lines), HasSubstr("--target 'file:/x/{vm}.raw'"));
  EXPECT_THAT(shell_script(lines), Not(HasSubstr("--bwlimit")));
}

TEST(CommandLines, AShellTakesEveryWordApartAsItWas) {
  const Argv words{"plain", "",  "it's",      "a b", "$HOME `x` \"q\" \\",
                   "~",     "*", "new\nline", "ä",   "#"};
  Argv command{"printf", "%s|"};
  command.insert(command.end(), words.begin(), words.end());
  std::string expected;
  for (const std::string& word : words) {
    expected += word + "|";
  }
  EXPECT_EQ(run_process({"sh", "-c", shell_quoted(command)}).stdout_text, expected);
}

TEST(VmLog, NamesAreSafeAndTheIdIsTheMachines) {
  EXPECT_EQ(vm_log_name({"p", "0A1B2C3D-0000-1000-8000-00000000000F", "web"}),
            "vm-web_Agent-0a1b2c3d-0000-1000-8000-00000000000f.log");
  const std::string strange = vm_log_name({"p", "x", "../a/b\n"});
  EXPECT_THAT(strange, testing::StartsWith("vm-..%2Fa%2Fb%0A_Agent-"));
  EXPECT_EQ(strange, vm_log_name({"p", "x", "../a/b\n"}));
  EXPECT_NE(strange, vm_log_name({"q", "x", "../a/b\n"}));
  EXPECT_LT(vm_log_name({"p", "x", std::string(5000, '/')}).size(), 255U);
  EXPECT_NE(safe_file_name(std::string(500, 'a')), safe_file_name(std::string(501, 'a')));
}

TEST(SyncReport, AllDisksTogether) {
  const SyncReport report = parse_sync_report(
      R"({"disks":[{"disk":"a","mode":"full","reason":"r","read_bytes":5,"seconds":1.25,
                    "bound_by":"source","error":null},
                   {"disk":"b","mode":"incremental","read_bytes":7,"error":"it broke"}]})");
  EXPECT_EQ(report.mode, "full+incremental");
  EXPECT_EQ(report.read_bytes, 12U);
  EXPECT_EQ(report.error, "b: it broke");
  ASSERT_EQ(report.disks.size(), 2U);
  EXPECT_THAT(report.disks[0], HasSubstr(" in 1.2 s, bound by: source: done"));
  EXPECT_THAT(report.disks[1], HasSubstr("FAILED: it broke"));
  for (const char* text : {"", "{", "[]", "{\"disks\":7}", "{\"disks\":[1]}", "null"}) {
    EXPECT_EQ(parse_sync_report(text).mode, "") << text;
  }
}

}  // namespace
}  // namespace hamal::period
