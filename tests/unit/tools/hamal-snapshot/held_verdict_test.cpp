// What becomes of snapshots that earlier runs left: every decision by its facts alone.
#include "common/held_verdict.hpp"

#include <gmock/gmock.h>

namespace hamal {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr auto k_day = 24h;

/// 2026-11-22T12:00:00Z
const auto k_now = std::chrono::system_clock::from_time_t(1795348800);

LeftSnapshot marked(const char* recorded = k_created, std::chrono::milliseconds age = 1h) {
  return {recorded, age, true, false, ""};
}
LeftSnapshot unmarked(const char* recorded, std::chrono::milliseconds age = 1h) {
  return {recorded, age, false, false, ""};
}

Verdict judge_next(const LeftSnapshot& snapshot, Fresh fresh = Fresh::no,
                   NextRun run = NextRun::by_hand) {
  return judge_for_next_run(snapshot, fresh, k_day, run);
}
Fate next(const LeftSnapshot& snapshot, Fresh fresh = Fresh::no, NextRun run = NextRun::by_hand) {
  return judge_next(snapshot, fresh, run).fate;
}

TEST(SnapshotAgeTest, counts_from_the_creation_in_any_zone) {
  EXPECT_EQ(snapshot_age("2026-11-22T11:00:00Z", k_now).age, 1h);
  EXPECT_EQ(snapshot_age("2026-11-22T11:00:00.250Z", k_now).age, 1h - 250ms);
  EXPECT_EQ(snapshot_age("2026-11-22T13:00:00+02:00", k_now).age, 1h);
  EXPECT_EQ(snapshot_age("2026-11-22T08:30:00-02:30", k_now).age, 1h);
  EXPECT_TRUE(snapshot_age("2026-11-22T11:00:00Z", k_now).known);
}

TEST(SnapshotAgeTest, a_creation_in_the_future_is_age_0_and_said_so) {
  const SnapshotAge age = snapshot_age("2027-11-22T11:00:00Z", k_now);
  EXPECT_EQ(age.age, 0h);
  EXPECT_FALSE(age.known);
}

TEST(SnapshotAgeTest, what_is_no_time_is_age_0_and_said_so) {
  for (const char* text :
       {"", "yesterday", "2026-11-22", "2026-11-22T11:00:00", "2026-11-22T11:00:00+x"}) {
    EXPECT_EQ(snapshot_age(text, k_now).age, 0h) << text;
    EXPECT_FALSE(snapshot_age(text, k_now).known) << text;
  }
}

TEST(NextRunTest, resumes_what_a_mark_names_whoever_it_was_recorded_for) {
  EXPECT_EQ(next(marked(k_created)), Fate::resume);
  EXPECT_EQ(next(marked(k_attached)), Fate::resume);
}

TEST(NextRunTest, gives_up_at_max_hold_and_not_before) {
  EXPECT_EQ(next(marked(k_created, k_day - 1ms)), Fate::resume);
  EXPECT_EQ(next(marked(k_created, k_day)), Fate::end);
  EXPECT_THAT(judge_next(marked(k_created, 25h)).reason,
              HasSubstr("25:00:00 old and snapshot_max_hold is 24:00:00"));
}

TEST(NextRunTest, ends_what_nobody_can_read_with_the_reason) {
  LeftSnapshot broken = marked();
  broken.unusable = "it is broken";
  const Verdict verdict = judge_next(broken);
  EXPECT_EQ(verdict.fate, Fate::end);
  EXPECT_EQ(verdict.reason, "it is broken");
}

TEST(NextRunTest, fresh_ends_what_would_have_been_resumed) {
  EXPECT_EQ(next(marked(), Fresh::yes), Fate::end);
}

TEST(NextRunTest, ends_a_dead_runs_own_snapshot_that_nothing_names) {
  EXPECT_EQ(next(unmarked(k_attached, 0s)), Fate::end);
  EXPECT_EQ(next(unmarked(k_attached), Fresh::yes), Fate::end);
}

// Somebody between create and finish holds no lock: its age proves nothing.
TEST(NextRunTest, never_ends_what_was_handed_out_and_no_mark_names) {
  EXPECT_EQ(next(unmarked(k_created, 400h)), Fate::leave);
  EXPECT_EQ(next(unmarked(k_created), Fresh::yes), Fate::leave);
}

// Two runs of hamal-period exclude each other, on one host and on several; a run by hand is
// excluded by neither while no tool works on the vm.
TEST(NextRunTest, a_run_of_hamal_period_ends_what_another_one_left) {
  EXPECT_EQ(next(unmarked(k_period, 0s), Fresh::no, NextRun::of_period), Fate::end);
  EXPECT_EQ(next(marked(k_period), Fresh::no, NextRun::of_period), Fate::resume);
  EXPECT_EQ(next(unmarked(k_period)), Fate::leave);
  EXPECT_EQ(next(unmarked(k_created), Fresh::no, NextRun::of_period), Fate::leave);
}

TEST(AfterRunTest, keeps_what_a_mark_needs_and_ends_the_rest) {
  EXPECT_EQ(judge_after_run(marked(), k_day).fate, Fate::resume);
  EXPECT_EQ(judge_after_run(unmarked(k_created), k_day).fate, Fate::end);
  EXPECT_EQ(judge_after_run(marked(k_attached, 25h), k_day).fate, Fate::end);
  LeftSnapshot gone = marked();
  gone.unusable = "gone";
  EXPECT_EQ(judge_after_run(gone, k_day).fate, Fate::end);
}

TEST(StaleTest, ends_leftovers) {
  EXPECT_EQ(judge_stale(unmarked(""), k_day, k_day).fate, Fate::end);
  EXPECT_EQ(judge_stale(unmarked(k_attached, 0s), k_day, k_day).fate, Fate::end);
  EXPECT_EQ(judge_stale(unmarked(k_created, 24h), k_day, k_day).fate, Fate::end);
  EXPECT_EQ(judge_stale(unmarked(k_created, 61s), k_day, 1min).fate, Fate::end);
}

TEST(StaleTest, leaves_what_may_be_in_use) {
  EXPECT_EQ(judge_stale(unmarked(k_created, 23h), k_day, k_day).fate, Fate::leave);
  EXPECT_EQ(judge_stale(unmarked(k_period, 23h), k_day, k_day).fate, Fate::leave);
}

TEST(StaleTest, a_mark_protects_until_max_hold_however_short_the_bound) {
  EXPECT_EQ(judge_stale(marked(k_created, 23h), k_day, 0s).fate, Fate::leave);
  EXPECT_EQ(judge_stale(marked(k_attached, 23h), k_day, 0s).fate, Fate::leave);
  EXPECT_EQ(judge_stale(marked("", 0s), k_day, 0s).fate, Fate::leave);
  EXPECT_EQ(judge_stale(marked(k_created, 24h), k_day, 48h).fate, Fate::end);
}

// Rule 8: what a checkpoint counts from stays; only the view that nobody reads any more is ended.
TEST(StaleTest, what_a_checkpoint_names_is_only_ever_finished) {
  EXPECT_EQ(judge_stale({"", 900h, false, true, ""}, k_day, 0s).fate, Fate::leave);
  EXPECT_EQ(judge_stale({k_attached, 0s, false, true, ""}, k_day, k_day).fate, Fate::finish);
  EXPECT_EQ(judge_stale({k_created, 23h, false, true, ""}, k_day, k_day).fate, Fate::leave);
  EXPECT_EQ(judge_stale({k_created, 25h, false, true, ""}, k_day, k_day).fate, Fate::finish);
  EXPECT_EQ(judge_stale({k_created, 23h, true, true, ""}, k_day, 0s).fate, Fate::leave);
  EXPECT_EQ(judge_stale({k_created, 25h, true, true, ""}, k_day, 0s).fate, Fate::finish);
}

TEST(NextRunTest, finishes_what_was_committed_and_not_ended) {
  for (const char* recorded : {k_attached, k_created, k_period}) {
    EXPECT_EQ(next({recorded, 0s, false, true, ""}), Fate::finish);
    EXPECT_EQ(next({recorded, 0s, true, true, ""}), Fate::resume);
  }
}

}  // namespace
}  // namespace hamal
