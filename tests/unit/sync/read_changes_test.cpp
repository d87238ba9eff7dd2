// From which base the changes of a disk are read, and why.
#include "hamal/sync/read_changes.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <map>

#include "hamal/extent/sources.hpp"
#include "hamal/target/target.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

SnapshotDocument two_disks() {
  SnapshotDocument document;
  document.platform = "lab";
  document.platform_type = "qemu";
  document.vm_id = "id-1";
  document.vm_name = "web";
  document.snapshot_id = "snap-2";
  document.created = "2026-11-22T21:24:35.123Z";
  document.disks = {{"vda", "a.qcow2", 1 << 20, "change-a2", "nbd://h/a", true, ""},
                    {"vdb", "b.qcow2", 2 << 20, "change-b2", "nbd://h/b", true, ""}};
  return document;
}

Checkpoint checkpoint_of(const std::string& disk, std::uint64_t size, const std::string& change) {
  Checkpoint checkpoint;
  checkpoint.identity = {"lab", "id-1", disk, "file:x"};
  checkpoint.change_id = change;
  checkpoint.size = size;
  checkpoint.generation = 3;
  checkpoint.committed = "2026-11-21T00:00:00Z";
  return checkpoint;
}

/// Answers what it is told to, and remembers what it was asked.
class ScriptedPlatform final : public Platform {
 public:
  std::vector<Vm> vms() override { return {}; }
  SnapshotDocument create_snapshot(const std::string&, const SnapshotOptions&) override {
    return {};
  }
  std::vector<SnapshotInfo> list_snapshots(const std::string&) override { return {}; }
  void finish_snapshot(const SnapshotDocument&, Outcome, const std::vector<std::string>&) override {
  }
  void delete_snapshot(const std::string&, const std::string&) override {}
  Changes changed_extents(const SnapshotDocument&, const SnapshotDisk& disk,
                          const std::string& base) override {
    asked.push_back(disk.id + " since " + base);
    if (base == "lost") {
      return {SyncMode::full, "bitmap lost is missing", vector_source({{0, 4096}})};
    }
    const SyncMode mode = base.empty() && !lie ? SyncMode::full : SyncMode::incremental;
    return {mode, "the platform's words", vector_source(extents)};
  }
  std::unique_ptr<BlockReader> open_reader(const SnapshotDisk&) override { return nullptr; }
  void verify_snapshot(const std::string&, const std::string&, const SnapshotDisk&) override {}

  std::vector<std::string> asked;
  std::vector<Extent> extents{{4096, 4096}};
  bool lie = false;
};

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(BaseOfCheckpointTest, is_its_change_id_when_everything_fits) {
  const SnapshotDisk disk = two_disks().disks[0];
  const Base base = base_of_checkpoint(disk, checkpoint_of("vda", disk.size, "c"), std::nullopt,
                                       Interrupted::mended);
  EXPECT_EQ(base.change_id, "c");
  EXPECT_THAT(base.reason, HasSubstr("generation 3"));
}

TEST(BaseOfCheckpointTest, stays_the_base_after_an_interrupted_run_that_counted_from_it) {
  const SnapshotDisk disk = two_disks().disks[0];
  InProgress mark;
  mark.mode = SyncMode::incremental;
  mark.base_change_id = "c";
  mark.started = "yesterday";
  const auto base = [&](Interrupted how) {
    return base_of_checkpoint(disk, checkpoint_of("vda", disk.size, "c"), mark, how);
  };
  EXPECT_EQ(base(Interrupted::mended).change_id, "c");
  EXPECT_THAT(base(Interrupted::mended).reason, HasSubstr("interrupted (started yesterday)"));
  EXPECT_EQ(base(Interrupted::not_mended).change_id, "") << "its plan is lost";
  mark.base_change_id = "b";
  EXPECT_EQ(base(Interrupted::mended).change_id, "") << "from another base";
  mark.mode = SyncMode::full;
  EXPECT_EQ(base(Interrupted::mended).change_id, "") << "a full";
}

TEST(BaseOfCheckpointTest, anything_else_is_a_full_with_its_reason) {
  const SnapshotDisk disk = two_disks().disks[0];
  const Checkpoint good = checkpoint_of("vda", disk.size, "c");
  const Checkpoint grown = checkpoint_of("vda", 4096, "c");
  const Checkpoint untracked = checkpoint_of("vda", disk.size, "");
  InProgress mark;
  mark.started = "yesterday";
  const std::vector<std::pair<Base, std::string>> cases{
      {base_of_checkpoint(disk, std::nullopt, std::nullopt, Interrupted::mended),
       "no checkpoint on this target"},
      {base_of_checkpoint(disk, grown, std::nullopt, Interrupted::mended),
       "size changed from 4096 to 1048576"},
      {base_of_checkpoint(disk, untracked, std::nullopt, Interrupted::mended),
       "the last run's snapshot was not tracked"},
      {base_of_checkpoint(disk, good, mark, Interrupted::not_mended),
       "an earlier run was interrupted (started yesterday)"}};
  for (const auto& [base, reason] : cases) {
    EXPECT_EQ(base.change_id, "") << reason;
    EXPECT_EQ(base.reason, reason);
  }
}

TEST(ReadChangesTest, asks_every_disk_from_its_own_base) {
  ScriptedPlatform platform;
  const auto changes =
      read_changes(platform, two_disks(), {}, base_of_change_ids({"common", "vdb=special"}));
  EXPECT_THAT(platform.asked, ElementsAre("vda since common", "vdb since special"));
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].header.mode, SyncMode::incremental);
  EXPECT_EQ(changes[0].header.base_change_id, "common");
  EXPECT_EQ(changes[0].header.change_id, "change-a2");
  EXPECT_EQ(changes[1].header.base_change_id, "special");
  const StreamHeader header = stream_header(two_disks(), changes);
  EXPECT_EQ(header.snapshot_id, "snap-2");
  EXPECT_EQ(header.disks.at(1).source, "nbd://h/b");
}

TEST(ReadChangesTest, a_full_says_who_wanted_it) {
  ScriptedPlatform platform;
  const auto wanted = read_changes(platform, two_disks(), {0}, full_base("--full was asked for"));
  EXPECT_EQ(wanted.at(0).header.mode, SyncMode::full);
  EXPECT_EQ(wanted.at(0).header.reason, "--full was asked for");
  const auto forced = read_changes(platform, two_disks(), {1}, base_of_change_ids({"lost"}));
  EXPECT_EQ(forced.at(0).header.mode, SyncMode::full);
  EXPECT_EQ(forced.at(0).header.id, "vdb");
  EXPECT_EQ(forced.at(0).header.reason, "bitmap lost is missing");
  EXPECT_EQ(forced.at(0).header.base_change_id, "");
}

TEST(ReadChangesTest, extents_outside_the_disk_are_refused_by_name) {
  ScriptedPlatform platform;
  platform.extents = {{0, 2 << 20}};
  const auto changes = read_changes(platform, two_disks(), {0}, full_base("x"));
  std::vector<Extent> window;
  EXPECT_THAT(message_of([&] { changes.at(0).extents->next(window); }), HasSubstr("lab:id-1/vda"));
}

TEST(ReadChangesTest, an_incremental_that_nobody_asked_for_is_refused) {
  ScriptedPlatform platform;
  platform.lie = true;
  EXPECT_THAT(message_of([&] { read_changes(platform, two_disks(), {}, full_base("x")); }),
              HasSubstr("answered a full with an incremental"));
}

TEST(BaseChooserTest, an_equals_sign_belongs_to_the_change_id_unless_a_disk_is_before_it) {
  const SnapshotDocument document = two_disks();
  const BaseChooser choose = base_of_change_ids({"a=b"});
  EXPECT_EQ(choose(document, document.disks[0], 0).change_id, "a=b");
  const BaseChooser one = base_of_change_ids({"vda=x"});
  EXPECT_EQ(one(document, document.disks[1], 1).change_id, "");
  EXPECT_EQ(one(document, document.disks[1], 1).reason, "no change id was given for this disk");
}

TEST(BaseChooserTest, checkpoints_of_files_must_belong_to_the_snapshot) {
  const SnapshotDocument document = two_disks();
  const SnapshotDisk& disk = document.disks[0];
  const BaseChooser good = base_of_checkpoints({checkpoint_of("vda", disk.size, "c")});
  EXPECT_EQ(good(document, disk, 0).change_id, "c");
  EXPECT_EQ(good(document, document.disks[1], 1).reason, "no checkpoint was given for this disk");
  Checkpoint other = checkpoint_of("vda", disk.size, "c");
  other.identity.vm_id = "id-2";
  EXPECT_THAT(message_of([&] { base_of_checkpoints({other})(document, disk, 0); }),
              HasSubstr("the checkpoint is of lab:id-2/vda"));
  EXPECT_THAT(
      message_of([&] { base_of_checkpoints({checkpoint_of("vdz", 1, "c")})(document, disk, 0); }),
      HasSubstr("vda, vdb"));
  EXPECT_THAT(message_of([&] {
                base_of_checkpoints({checkpoint_of("vda", disk.size, "c"),
                                     checkpoint_of("vda", disk.size, "d")})(document, disk, 0);
              }),
              HasSubstr("two checkpoints are of disk vda"));
}

TEST(BaseChooserTest, a_target_pattern_finds_the_checkpoint_of_each_disk) {
  const auto folder = std::filesystem::temp_directory_path() / "hamal-base-of-target-test";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const auto state = open_state("sqlite://" + (folder / "state.db").string());
  const SnapshotDocument document = two_disks();
  const std::string pattern = "file:" + folder.string() + "/{vm}-{disk}.raw";
  Checkpoint checkpoint = checkpoint_of("vdb", document.disks[1].size, "c");
  checkpoint.identity.target =
      canonical_target(parse_endpoint("file:" + folder.string() + "/web-vdb.raw"));
  checkpoint.generation = 1;
  state->commit_checkpoint(checkpoint);
  const BaseChooser choose = base_of_target(*state, pattern, Interrupted::mended, parse_endpoint);
  EXPECT_EQ(choose(document, document.disks[0], 0).reason, "no checkpoint on this target");
  EXPECT_EQ(choose(document, document.disks[1], 1).reason, "the target is gone");
  write_file_atomically(folder / "web-vdb.raw", "the replica");
  EXPECT_EQ(choose(document, document.disks[1], 1).change_id, "c");
  InProgress mark;
  mark.identity = checkpoint.identity;
  mark.started = "now";
  state->mark_in_progress(mark, {});
  EXPECT_THAT(choose(document, document.disks[1], 1).reason, HasSubstr("interrupted"));
  std::filesystem::remove_all(folder);
}

TEST(FindDisksTest, by_id_or_index_once_and_in_document_order) {
  EXPECT_THAT(find_disks(two_disks(), {"vdb", "0", "vda"}), ElementsAre(0U, 1U));
  EXPECT_THAT(message_of([] { find_disks(two_disks(), {"vdz"}); }), HasSubstr("vdz"));
}

}  // namespace
}  // namespace hamal
