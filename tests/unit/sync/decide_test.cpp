// Design rules 2 and 4: a delta is applied only where it starts.
#include "hamal/sync/decide.hpp"

#include <gtest/gtest.h>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

StreamDisk delta() {
  StreamDisk disk;
  disk.id = "vda";
  disk.size = 1000;
  disk.mode = SyncMode::incremental;
  disk.base_change_id = "g1";
  disk.change_id = "g2";
  return disk;
}

StreamDisk full() {
  StreamDisk disk = delta();
  disk.mode = SyncMode::full;
  disk.base_change_id.clear();
  disk.reason = "bitmap g1 is missing";
  return disk;
}

Checkpoint at(const std::string& change_id, std::uint64_t size = 1000) {
  Checkpoint checkpoint;
  checkpoint.change_id = change_id;
  checkpoint.size = size;
  return checkpoint;
}

std::string refusal(const StreamDisk& disk, Incremental wanted,
                    const std::optional<Checkpoint>& checkpoint,
                    const std::optional<InProgress>& mark = std::nullopt,
                    RecordedPlan recorded = RecordedPlan::lost) {
  try {
    check_applicable(disk, wanted, checkpoint, mark, recorded, "file:/t");
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::base_mismatch);
    EXPECT_EQ(exit_status(error), ExitStatus::base_mismatch);
    return error.what();
  }
}

TEST(Decide, DeltaThatStartsAtTheCheckpointIsApplied) {
  EXPECT_EQ(refusal(delta(), Incremental::automatic, at("g1")), "");
  EXPECT_EQ(refusal(delta(), Incremental::require, at("g1")), "");
}

TEST(Decide, DeltaFromElsewhereIsRefused) {
  EXPECT_NE(refusal(delta(), Incremental::automatic, at("g0")).find("g0"), std::string::npos);
  EXPECT_NE(refusal(delta(), Incremental::automatic, at("")).find("no change id"),
            std::string::npos);
  EXPECT_NE(refusal(delta(), Incremental::automatic, std::nullopt).find("no checkpoint"),
            std::string::npos);
  EXPECT_NE(refusal(delta(), Incremental::automatic, at("g1", 999)).find("999"), std::string::npos);
}

TEST(Decide, DeltaOntoAnInterruptedTargetIsRefused) {
  EXPECT_NE(refusal(delta(), Incremental::automatic, at("g1"), InProgress{}).find("interrupted"),
            std::string::npos);
}

// Break it by leaving the base out of check_applicable(): the third line fails.
TEST(Decide, ADeltaMendsWhatAnotherOfTheSameBaseLeftWhenThePlanIsKept) {
  InProgress mark;
  mark.mode = SyncMode::incremental;
  mark.base_change_id = "g1";
  EXPECT_EQ(refusal(delta(), Incremental::automatic, at("g1"), mark, RecordedPlan::kept), "");
  EXPECT_NE(refusal(delta(), Incremental::automatic, at("g1"), mark, RecordedPlan::lost), "");
  mark.base_change_id = "g0";
  EXPECT_NE(refusal(delta(), Incremental::automatic, at("g1"), mark, RecordedPlan::kept), "");
  mark = InProgress{};
  EXPECT_NE(refusal(delta(), Incremental::automatic, at("g1"), mark, RecordedPlan::kept), "")
      << "an interrupted full";
}

TEST(Decide, NeverRefusesADelta) {
  EXPECT_NE(refusal(delta(), Incremental::never, at("g1")), "");
  EXPECT_EQ(refusal(full(), Incremental::never, at("g1")), "");
}

TEST(Decide, RequireForbidsFallingBackButNotTheFirstFull) {
  EXPECT_NE(refusal(full(), Incremental::require, at("g1")).find("bitmap g1 is missing"),
            std::string::npos);
  EXPECT_EQ(refusal(full(), Incremental::require, std::nullopt), "");
  EXPECT_EQ(refusal(full(), Incremental::automatic, at("g1"), InProgress{}), "");
}

}  // namespace
}  // namespace hamal
