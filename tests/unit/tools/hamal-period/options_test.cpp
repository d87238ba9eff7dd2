// The command line of hamal-period.
#include "hamal-period/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using testing::ElementsAre;

PeriodRequest parse(std::vector<const char*> words) {
  words.insert(words.begin(), "hamal-period");
  return parse_period_options(static_cast<int>(words.size()), words.data());
}

ErrorKind refusal(const std::vector<const char*>& words) {
  try {
    parse(words);
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "was taken";
  return ErrorKind::failed;
}

TEST(PeriodOptions, OnePassOfEverythingUnlessTold) {
  const PeriodRequest request = parse({});
  EXPECT_EQ(request.command, PeriodCommand::run);
  EXPECT_FALSE(request.loop || request.dry_run || request.now);
  EXPECT_TRUE(request.jobs.empty() && request.vms.empty());
}

TEST(PeriodOptions, JobsAndVmsAreRepeatable) {
  const PeriodRequest request = parse({"--job", "a", "--vm", "web*", "--job", "b", "--now"});
  EXPECT_THAT(request.jobs, ElementsAre("a", "b"));
  EXPECT_THAT(request.vms, ElementsAre("web*"));
  EXPECT_TRUE(request.now);
}

TEST(PeriodOptions, HealthHasItsBounds) {
  const PeriodRequest request = parse({"health", "--max-age", "10m", "--max-failures", "5"});
  EXPECT_EQ(request.command, PeriodCommand::health);
  EXPECT_EQ(request.max_age, std::chrono::minutes(10));
  EXPECT_EQ(request.max_failures, 5U);
  EXPECT_EQ(refusal({"health", "--max-age", "soon"}), ErrorKind::usage);
}

TEST(PeriodOptions, WhatIsForAPassIsForNothingElse) {
  EXPECT_EQ(refusal({"--dry-run", "status"}), ErrorKind::usage);
  EXPECT_EQ(refusal({"--metrics-file", "/m", "health"}), ErrorKind::usage);
  EXPECT_EQ(refusal({"--loop", "--dry-run"}), ErrorKind::usage);
  EXPECT_EQ(refusal({"--loop", "--now"}), ErrorKind::usage);
  EXPECT_EQ(refusal({"status", "health"}), ErrorKind::usage);
  EXPECT_EQ(refusal({"operand"}), ErrorKind::usage);
}

TEST(PeriodOptions, TheStateIsExportedImportedAndReopened) {
  const PeriodRequest request = parse({"state", "export", "--output", "/s", "--force", "--moved"});
  EXPECT_EQ(request.command, PeriodCommand::export_state);
  EXPECT_EQ(request.output, "/s");
  EXPECT_TRUE(request.force && request.moved);
  EXPECT_EQ(parse({"state", "import", "-"}).file, "-");
  EXPECT_EQ(parse({"state", "reopen"}).command, PeriodCommand::reopen_state);
  EXPECT_EQ(refusal({"state", "export", "--force"}), ErrorKind::usage);
  EXPECT_EQ(refusal({"state", "import"}), ErrorKind::usage);
  EXPECT_EQ(refusal({"state"}), ErrorKind::usage);
}

}  // namespace
}  // namespace hamal
