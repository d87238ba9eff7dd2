// The platform vmware under the suite, and each trap of vSphere by its name. "Break it" says what
// in the client makes the test fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <fmt/core.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "hamal/platform/vmware/change_id.hpp"
#include "hamal/platform/vmware/changed_areas.hpp"
#include "hamal/platform/vmware/properties.hpp"
#include "hamal/platform/vmware/settings.hpp"
#include "hamal/platform/vmware/vmware_platform.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/file_lock.hpp"
#include "hamal/util/units.hpp"
#include "io_helpers.hpp"
#include "platform_suite.hpp"
#include "vsphere.hpp"

namespace hamal::testing {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t k_mib = 1U << 20U;
constexpr std::uint64_t k_block = 65536;
constexpr const char* k_mark = "0123abcd";

void write_at(const std::string& path, std::uint64_t offset, std::span<const std::byte> data) {
  pwrite_all(open_file(path, O_WRONLY).get(), data, offset, path);
}

class VmwareLab : public PlatformLab {
 public:
  VmwareLab() : m_vsphere({"--vm", "web01:1M:off"}), m_live(m_vsphere.live("web01", 0)) {
    write_at(m_live, 0, sample_content(k_mib, 3));
    m_config.defaults.hamal_lib_dir = m_scratch.path();
  }
  std::unique_ptr<Platform> open(const std::string& mark) override {
    return make_vmware_platform("vc", m_vsphere.section("vc"), context(mark));
  }
  std::string vm() const override { return "web01"; }
  void write(std::uint64_t offset, std::span<const std::byte> data) override {
    write_at(m_live, offset, data);
  }
  void zero(std::uint64_t offset, std::uint64_t length) override {
    write(offset, std::vector<std::byte>(length));
  }
  std::vector<std::byte> content() override {
    const std::string text = read_file(m_live);
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
  }
  void lose_source(const SnapshotDocument& document) override {
    m_vsphere.happen({{"vm", "web01"}, {"do", "remove_snapshot"}, {"name", document.snapshot_id}});
  }
  bool freezes() const override { return true; }
  bool tracks() const override { return true; }

 private:
  ScratchDirectory m_scratch;
  Vsphere m_vsphere;
  std::string m_live;
};

INSTANTIATE_TEST_SUITE_P(Vmware, PlatformConformance,
                         ::testing::Values(PlatformKind{
                             "vmware", [] { return std::make_unique<VmwareLab>(); },
                             why_no_vsphere}),
                         [](const auto& kind) { return kind.param.name; });

/// A vm with two disks that is off, so that it can be read without VDDK.
class Vmware : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_no_vsphere(); !why.empty()) {
      GTEST_SKIP() << why;
    }
    vsphere.emplace(std::vector<std::string>{"--vm", "web01:1M,2M:off", "--more", "2"});
    section = vsphere->section("vc");
    config.defaults.hamal_lib_dir = scratch.path();
    platform = open();
  }
  void TearDown() override {
    // Whatever a test did, no request was one that a real server would refuse.
    if (vsphere) {
      EXPECT_THAT(vsphere->state()["violations"], IsEmpty());
    }
  }
  std::unique_ptr<Platform> open() {
    return make_vmware_platform("vc", section, {config, log, cancel, k_mark});
  }
  void write(std::uint64_t offset, std::size_t length, unsigned value, std::size_t disk = 0) {
    write_at(vsphere->live("web01", disk), offset,
             std::vector<std::byte>(length, static_cast<std::byte>(value)));
  }
  SnapshotDocument create(const SnapshotOptions& options = {}) {
    return platform->create_snapshot("web01", options);
  }
  void finish(const SnapshotDocument& document) {
    platform->finish_snapshot(document, Outcome::committed, {});
  }
  /// The change id of disk 0 at a snapshot that was committed.
  std::string commit() {
    const SnapshotDocument document = create();
    finish(document);
    return document.disks.at(0).change_id;
  }
  Changes changes(const SnapshotDocument& document, const std::string& base, std::size_t disk = 0) {
    return platform->changed_extents(document, document.disks.at(disk), base);
  }
  json snapshots() { return vsphere->machine("web01")["snapshots"]; }
  /// A snapshot of somebody else's.
  void theirs(const std::string& name) {
    vsphere->happen({{"vm", "web01"}, {"do", "snapshot"}, {"name", name}});
  }
  template <typename Call>
  Error refused(Call call) {
    try {
      call();
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "nothing was refused";
    return {ErrorKind::failed, "nothing"};
  }
  void once(const std::string& method, const std::string& what, int skip = 0) {
    vsphere->rules({{{"method", method}, {"do", what}, {"times", 1}, {"skip", skip}}});
  }

  ScratchDirectory scratch;
  std::optional<Vsphere> vsphere;
  NamedSection section;
  Config config;
  Logger log;
  CancelToken cancel;
  std::unique_ptr<Platform> platform;
};

using VmwareTraps = Vmware;

// Break it: leave the second create() out of SnapshotMaker::make().
TEST_F(VmwareTraps, TrackingIsActiveAfterAStunOnly) {
  vsphere->set({{"stun_needed", true}});
  const SnapshotDocument document = create();
  EXPECT_TRUE(document.disks[0].tracked);
  EXPECT_TRUE(document.disks[1].tracked);
  EXPECT_EQ(vsphere->calls("CreateSnapshot_Task"), 2);
  EXPECT_THAT(snapshots(), SizeIs(1));
}

TEST_F(VmwareTraps, TrackingThatStaysOffIsAFull) {
  vsphere->set({{"ignore_tracking", true}});
  const SnapshotDocument document = create();
  EXPECT_FALSE(document.disks[0].tracked);
  EXPECT_THAT(document.disks[0].untracked_reason, HasSubstr("change tracking is off"));
  EXPECT_EQ(vsphere->calls("CreateSnapshot_Task"), 1);
  EXPECT_EQ(changes(document, {}).mode, SyncMode::full);
}

TEST_F(VmwareTraps, ADiskWithoutAChangeIdIsAFullAndTheOthersAreNot) {
  vsphere->set({{"untracked", {2001}}});
  const SnapshotDocument document = create();
  EXPECT_TRUE(document.disks[0].tracked);
  EXPECT_FALSE(document.disks[1].tracked);
  EXPECT_EQ(vsphere->calls("CreateSnapshot_Task"), 2) << "one more attempt, not an endless one";
  EXPECT_THAT(changes(document, "52 de/1", 1).reason, HasSubstr("no change id"));
}

TEST_F(VmwareTraps, TrackingIsNotEnabledWithoutBeingAskedFor) {
  section.values.erase("enable_change_tracking");
  platform = open();
  const SnapshotDocument document = create();
  EXPECT_FALSE(document.disks[0].tracked);
  EXPECT_EQ(vsphere->calls("ReconfigVM_Task"), 0);
}

// Break it: let changed_areas() rethrow FileFault, or give an empty source for it.
TEST_F(VmwareTraps, ChangesFromBeforeEnablingAreAFullOfThatDisk) {
  write(0, 100, 1);
  const std::string base = commit();
  const SnapshotDocument document = create();
  vsphere->rules({{{"method", "QueryChangedDiskAreas"}, {"do", "fault:FileFault"}}});
  vsphere->forget_calls();
  Changes all = changes(document, base);
  EXPECT_EQ(all.mode, SyncMode::full);
  EXPECT_THAT(all.reason, HasSubstr("cannot tell"));
  EXPECT_THAT(all_extents(*all.extents), ElementsAre(Extent{0, k_mib, ExtentKind::data}));
  EXPECT_LE(vsphere->calls("QueryChangedDiskAreas"), 2) << "asked again and again";
}

TEST_F(VmwareTraps, WhatCannotBeToldInTheMiddleIsRead) {
  vsphere->set({{"max_areas", 1}});
  const std::string base = commit();
  write(0, 100, 1);
  write(8 * k_block, 100, 1);
  const SnapshotDocument document = create();
  once("QueryChangedDiskAreas", "fault:FileFault", 1);
  Changes some = changes(document, base);
  EXPECT_EQ(some.mode, SyncMode::incremental);
  EXPECT_THAT(all_extents(*some.extents),
              ElementsAre(Extent{0, k_block, ExtentKind::data},
                          Extent{8 * k_block, k_mib - 8 * k_block, ExtentKind::data}));
}

// Break it: leave fill_gaps() out of full(): a target that was there before keeps its bytes.
TEST_F(VmwareTraps, TheStarIsAnOptimisation) {
  write(k_block, 100, 1);
  const SnapshotDocument document = create();
  EXPECT_THAT(
      all_extents(*changes(document, {}).extents),
      ElementsAre(Extent{0, k_block, ExtentKind::zero}, Extent{k_block, k_block, ExtentKind::data},
                  Extent{2 * k_block, k_mib - 2 * k_block, ExtentKind::zero}));
  once("QueryChangedDiskAreas", "fault:FileFault");
  EXPECT_THAT(all_extents(*changes(document, {}).extents),
              ElementsAre(Extent{0, k_mib, ExtentKind::data}));
}

// Break it: take an answer without areas for the end.
TEST_F(VmwareTraps, TheQueryGoesOnWhereTheAnswerEnds) {
  vsphere->set({{"max_areas", 2}});
  const std::string base = commit();
  for (std::uint64_t block = 0; block < 16; block += 2) {
    write(block * k_block, 1, 1);
  }
  const SnapshotDocument document = create();
  EXPECT_THAT(all_extents(*changes(document, base).extents), SizeIs(8));
  once("QueryChangedDiskAreas", "answer:empty_first");
  EXPECT_THAT(all_extents(*changes(document, base).extents), SizeIs(7));
  // Nothing was asked at the end of the disk: the simulator answers that with a fault, which would
  // have made one extent of what is left.
  EXPECT_EQ(changes(document, base).mode, SyncMode::incremental);
}

// Break it: any of the checks of parse_areas().
TEST_F(VmwareTraps, AnswersThatCannotBeAreErrors) {
  const std::string base = commit();
  write(0, 1, 1);
  const SnapshotDocument document = create();
  for (const char* lie :
       {"no_length", "negative_length", "beyond", "negative_area", "overflow", "overlap",
        "backwards", "empty_area", "other_start", "too_long", "outside_answer"}) {
    SCOPED_TRACE(lie);
    once("QueryChangedDiskAreas", std::string("answer:") + lie);
    const Error error = refused([&] { all_extents(*changes(document, base).extents); });
    EXPECT_EQ(error.kind(), ErrorKind::failed);
    EXPECT_THAT(error.what(), HasSubstr("QueryChangedDiskAreas"));
    EXPECT_THAT(error.object(), HasSubstr("web01/2000"));
  }
}

// Break it: take the size from the vm, or leave the snapshot out of the question.
TEST_F(VmwareTraps, WhatASnapshotIsComesFromItsOwnConfiguration) {
  const std::string base = commit();
  write(0, 1, 1);
  const SnapshotDocument document = create();
  vsphere->happen({{"vm", "web01"}, {"do", "grow"}, {"disk", 2000}, {"size", 4 * k_mib}});
  EXPECT_EQ(document.disks[0].size, k_mib);
  EXPECT_THAT(all_extents(*changes(document, base).extents),
              ElementsAre(Extent{0, k_block, ExtentKind::data}));
  EXPECT_EQ(platform->open_reader(document.disks[0])->size(), k_mib);
  platform->verify_snapshot(document.vm_id, document.snapshot_id, document.disks[0]);
  finish(document);
  EXPECT_EQ(create().disks[0].size, 4 * k_mib);
}

// Break it: compare the change ids' sequences alone.
TEST_F(VmwareTraps, AnotherEpochIsAFull) {
  const std::string base = commit();
  vsphere->happen({{"vm", "web01"}, {"do", "reset_tracking"}});
  const SnapshotDocument document = create();
  Changes all = changes(document, base);
  EXPECT_EQ(all.mode, SyncMode::full);
  EXPECT_THAT(all.reason, HasSubstr("reset"));
  vsphere->forget_calls();
  EXPECT_THAT(changes(document, "52 de/x").reason, HasSubstr("no change id"));
  std::string newer = document.disks[0].change_id;
  newer.replace(newer.find('/'), newer.find(';') - newer.find('/'), "/99");
  newer.replace(newer.find("snapshot-"), 9, "snapshot-9");
  EXPECT_THAT(changes(document, newer).reason, HasSubstr("reverted"));
}

// The id to save is that of the snapshot; the vm's own moves on with the next one.
TEST_F(VmwareTraps, TheChangeIdIsTheSnapshotsOwn) {
  const SnapshotDocument first = create();
  EXPECT_THAT(changes(first, first.disks[0].change_id).reason, HasSubstr("at this snapshot"));
  finish(first);
  write(3 * k_block, 1, 1);
  const SnapshotDocument second = create();
  EXPECT_NE(first.disks[0].change_id, second.disks[0].change_id);
  EXPECT_THAT(all_extents(*changes(second, first.disks[0].change_id).extents),
              ElementsAre(Extent{3 * k_block, k_block, ExtentKind::data}));
}

// Break it: do not look at consolidationNeeded after a removal, or before a creation.
TEST_F(VmwareTraps, ARemovalIsOverWhenItsDisksAreConsolidated) {
  vsphere->set({{"consolidation", true}});
  finish(create());
  EXPECT_FALSE(vsphere->machine("web01")["consolidation"].get<bool>());
  EXPECT_EQ(vsphere->calls("ConsolidateVMDisks_Task"), 1);
  vsphere->happen({{"vm", "web01"}, {"do", "snapshot"}, {"name", "theirs"}});
  vsphere->happen({{"vm", "web01"}, {"do", "remove_snapshot"}, {"name", "theirs"}});
  ASSERT_TRUE(vsphere->machine("web01")["consolidation"].get<bool>());
  vsphere->set(json::object());
  create();
  EXPECT_EQ(vsphere->calls("ConsolidateVMDisks_Task"), 2);
}

// Break it: take the task's success for the removal's, or leave await_removal() out of remove().
TEST_F(VmwareTraps, ARemovalIsOverWhenTheTreeHasItNoMore) {
  section.values["task_timeout"] = "1s";
  platform = open();
  const SnapshotDocument document = create();
  vsphere->set({{"staying", 1}});
  const Error error = refused([&] { finish(document); });
  EXPECT_TRUE(error.transient());
  EXPECT_THAT(error.what(), HasSubstr("was removed, and still has it"));
  EXPECT_THAT(snapshots(), SizeIs(1));
  finish(document);
  EXPECT_THAT(snapshots(), IsEmpty());
}

// A removal that was cut before its disks were consolidated. Break it: return from remove() at once
// when the tree has no such snapshot.
TEST_F(VmwareTraps, ARemovalThatIsRepeatedConsolidates) {
  const SnapshotDocument document = create();
  vsphere->set({{"consolidation", true}});
  vsphere->happen({{"vm", "web01"}, {"do", "remove_snapshot"}, {"name", document.snapshot_id}});
  ASSERT_TRUE(vsphere->machine("web01")["consolidation"].get<bool>());
  finish(document);
  EXPECT_FALSE(vsphere->machine("web01")["consolidation"].get<bool>());
}

// Break it: leave has_parent out of full().
TEST_F(VmwareTraps, ALinkedCloneIsReadWhole) {
  write(k_block, 100, 1);
  vsphere->happen({{"vm", "web01"}, {"do", "linked"}, {"disk", 2000}});
  const SnapshotDocument document = create();
  Changes all = changes(document, {});
  EXPECT_EQ(all.mode, SyncMode::full);
  EXPECT_THAT(all.reason, HasSubstr("continues another disk"));
  EXPECT_THAT(all_extents(*all.extents), ElementsAre(Extent{0, k_mib, ExtentKind::data}));
  EXPECT_EQ(vsphere->calls("QueryChangedDiskAreas"), 0);
  // The changes of its own layer are tracked.
  const std::string base = document.disks[0].change_id;
  finish(document);
  write(3 * k_block, 1, 1);
  EXPECT_THAT(all_extents(*changes(create(), base).extents),
              ElementsAre(Extent{3 * k_block, k_block, ExtentKind::data}));
}

// Break it: use FindByUuid, or the first that is found.
TEST_F(VmwareTraps, SeveralVmsWithOneUuidAreRefusedByTheirNames) {
  vsphere.emplace(std::vector<std::string>{"--vm", "web01:1M:off", "--vm", "copy:1M:off"});
  section = vsphere->section("vc");
  platform = open();
  const std::string uuid = vsphere->machine("web01")["uuid"];
  vsphere->happen({{"vm", "copy"}, {"do", "uuid"}, {"value", uuid}});
  const Error error = refused([&] { platform->create_snapshot(uuid, {}); });
  EXPECT_EQ(error.kind(), ErrorKind::usage);
  EXPECT_THAT(error.what(), HasSubstr("web01 (vm-"));
  EXPECT_THAT(error.what(), HasSubstr("copy (vm-"));
  for (const Vm& vm : platform->vms()) {
    EXPECT_FALSE(vm.disks.at(0).protectable) << vm.name;
    EXPECT_THAT(vm.disks[0].reason, HasSubstr("instance UUID"));
  }
  EXPECT_THAT(snapshots(), IsEmpty());
}

// Break it: use find_machine() in delete_snapshot().
TEST_F(VmwareTraps, ASnapshotOfAVmThatIsGoneIsGone) {
  const SnapshotDocument document = create();
  vsphere->happen({{"vm", "web01"}, {"do", "destroy"}});
  finish(document);
  platform->delete_snapshot(document.vm_id, document.snapshot_id);
  EXPECT_THAT(platform->list_snapshots(document.vm_id), IsEmpty());
  EXPECT_EQ(refused([&] { platform->list_snapshots("web01"); }).kind(), ErrorKind::usage);
  EXPECT_EQ(refused([&] { changes(document, {}); }).kind(), ErrorKind::usage);
}

// Break it: leave changeVersion out of the request, or the loop around it.
TEST_F(VmwareTraps, TrackingIsEnabledInTheConfigurationThatWasLookedAt) {
  once("ReconfigVM_Task", "fault:ConcurrentAccess");
  EXPECT_TRUE(create().disks[0].tracked);
  EXPECT_EQ(vsphere->calls("ReconfigVM_Task"), 2);
}

TEST_F(VmwareTraps, DisksOfMoreThanTwoTebibytes) {
  constexpr std::uint64_t k_size = 3ULL << 40U;
  constexpr std::uint64_t k_far = 5ULL << 39U;
  vsphere->happen({{"vm", "web01"}, {"do", "add_disk"}, {"size", k_size}});
  const SnapshotDocument first = create();
  ASSERT_EQ(first.disks[2].size, k_size);
  finish(first);
  write(k_far, 512, 7, 2);
  const SnapshotDocument document = create();
  EXPECT_THAT(all_extents(*changes(document, first.disks[2].change_id, 2).extents),
              ElementsAre(Extent{k_far, k_block, ExtentKind::data}));
  std::vector<std::byte> read(512);
  platform->open_reader(document.disks[2])->read(k_far, read);
  EXPECT_EQ(read, std::vector<std::byte>(512, std::byte{7}));
}

// Break it: any case of why_unprotectable().
TEST_F(VmwareTraps, DisksThatSnapshotsLeaveOutAreRefusedOrListed) {
  struct Case {
    json event;
    std::string reason;
  };
  for (const Case& one :
       {Case{{{"do", "mode"}, {"value", "independent_persistent"}}, "independent"},
        Case{{{"do", "sharing"}, {"value", "sharingMultiWriter"}}, "multi-writer"},
        Case{{{"do", "rdm"}, {"value", "physicalMode"}}, "physical mode"}}) {
    SCOPED_TRACE(one.reason);
    json event = one.event;
    event.update({{"vm", "web01"}, {"disk", 2001}});
    vsphere->happen({{"vm", "web01"}, {"do", "mode"}, {"disk", 2001}, {"value", "persistent"}});
    vsphere->happen(event);
    const Vm vm = platform->vms().back();
    ASSERT_EQ(vm.name, "web01");
    EXPECT_TRUE(vm.disks[0].protectable);
    EXPECT_FALSE(vm.disks[1].protectable);
    EXPECT_THAT(vm.disks[1].reason, HasSubstr(one.reason));
    const Error error = refused([&] { create({.disks = {"2001"}}); });
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), HasSubstr(one.reason));
    const SnapshotDocument document = create();
    ASSERT_THAT(document.disks, SizeIs(1));
    EXPECT_EQ(document.disks[0].id, "2000");
    const json left_out = json::parse(document.hardware)["left_out"];
    ASSERT_THAT(left_out, SizeIs(1));
    EXPECT_EQ(left_out[0]["id"], "2001");
    finish(document);
    if (one.event["do"] == "sharing") {
      vsphere->happen(
          {{"vm", "web01"}, {"do", "sharing"}, {"disk", 2001}, {"value", "sharingNone"}});
    }
  }
  vsphere->happen(
      {{"vm", "web01"}, {"do", "mode"}, {"disk", 2000}, {"value", "independent_persistent"}});
  EXPECT_THAT(refused([&] { create(); }).what(), HasSubstr("none of the vm's disks"));
}

TEST_F(VmwareTraps, BackingsWithoutChangeIdsAndOldHardwareAreFullOnly) {
  vsphere->happen({{"vm", "web01"}, {"do", "seflat"}, {"disk", 2001}});
  EXPECT_THAT(platform->vms().back().disks[1].reason, HasSubstr("have no change ids"));
  const auto document = [&] { return create({.disks = {"2000"}}); };
  vsphere->happen({{"vm", "web01"}, {"do", "version"}, {"value", "vmx-04"}});
  EXPECT_THAT(platform->vms().back().disks[0].reason, HasSubstr("vmx-04"));
  finish(document());
  vsphere->happen({{"vm", "web01"}, {"do", "no_tracking_support"}});
  EXPECT_THAT(platform->vms().back().disks[0].reason, HasSubstr("supports no change tracking"));
  vsphere->forget_calls();
  finish(document());
  EXPECT_EQ(vsphere->calls("ReconfigVM_Task"), 0);
}

// Break it: take "snapshots.size() > 1" out of why_not_folder(), or the check of full().
TEST_F(VmwareTraps, SnapshotsThatAreThereAlreadyStay) {
  write(0, 100, 1);
  const std::string base = commit();
  vsphere->happen({{"vm", "web01"}, {"do", "snapshot"}, {"name", "theirs"}});
  const Error error = refused([&] { create(); });
  EXPECT_THAT(error.what(), HasSubstr("cannot be read over https: the vm has other snapshots"));
  EXPECT_THAT(error.hint(), HasSubstr("VDDK"));
  ASSERT_THAT(snapshots(), SizeIs(1));
  EXPECT_EQ(snapshots()[0]["name"], "theirs");
  EXPECT_THAT(refused([&] { platform->delete_snapshot("web01", snapshots()[0]["id"]); }).what(),
              HasSubstr("not made by this installation"));
  section.values["max_snapshots"] = "1";
  platform = open();
  EXPECT_THAT(refused([&] { create(); }).what(), HasSubstr("max_snapshots"));
  EXPECT_THAT(snapshots(), SizeIs(1));
}

TEST_F(VmwareTraps, EncryptedDisksAreReadByVddkAlone) {
  vsphere->happen({{"vm", "web01"}, {"do", "encrypt"}, {"disk", 2000}, {"value", "key-1"}});
  EXPECT_THAT(platform->vms().back().disks[0].reason, HasSubstr("encrypted"));
  EXPECT_THAT(refused([&] { create(); }).what(), HasSubstr("the disk is encrypted"));
  EXPECT_THAT(snapshots(), IsEmpty()) << "the snapshot stayed";
}

TEST_F(VmwareTraps, ARunningVmIsNotReadOverHttps) {
  vsphere->happen({{"vm", "web01"}, {"do", "power"}, {"value", "poweredOn"}});
  EXPECT_THAT(refused([&] { create(); }).what(), HasSubstr("not powered off"));
  EXPECT_THAT(snapshots(), IsEmpty());
}

TEST_F(VmwareTraps, AStoreThatRefusesIsAClearError) {
  vsphere->set({{"no_folder", true}});
  const Error error = refused([&] { create(); });
  EXPECT_THAT(error.what(), HasSubstr("HTTP 403"));
  EXPECT_THAT(error.hint(), HasSubstr("VDDK"));
  EXPECT_THAT(snapshots(), IsEmpty());
}

// Break it: leave the comparison of Content-Range, or of the status, out of fetch().
TEST_F(VmwareTraps, AStoreThatSendsSomethingElseIsNotBelieved) {
  for (const char* how : {"whole", "longer"}) {
    SCOPED_TRACE(how);
    vsphere->set({{"folder", how}});
    EXPECT_THAT(refused([&] { create(); }).hint(), HasSubstr("VDDK"));
    EXPECT_THAT(snapshots(), IsEmpty());
  }
  vsphere->set(json::object());
  const SnapshotDocument document = create();
  const auto reader = platform->open_reader(document.disks[0]);
  vsphere->set({{"folder", "longer"}});
  EXPECT_THAT(refused([&] { read_all(*reader); }).what(), HasSubstr("the server sends"));
}

// The trap: a delta is no plain extent. Break it: fall back from -000001 to the base.
TEST_F(VmwareTraps, DeltasAreNotReadAsTheirBase) {
  const SnapshotDocument document = create();
  vsphere->happen({{"vm", "web01"}, {"do", "snapshot"}, {"name", "theirs"}});
  EXPECT_THAT(refused([&] { platform->open_reader(document.disks[0]); }).what(),
              HasSubstr("other snapshots"));
}

// Reading needs a vm that is off, and quiescing one that runs: the snapshots alone count here.
TEST_F(VmwareTraps, ASnapshotThatCannotBeQuiescedIsMadeWithoutIfAllowed) {
  vsphere->happen({{"vm", "web01"}, {"do", "power"}, {"value", "poweredOn"}});
  for (const char* fault : {"ApplicationQuiesceFault", "FilesystemQuiesceFault", "SnapshotFault"}) {
    SCOPED_TRACE(fault);
    vsphere->set({{"quiesce_fault", fault}});
    vsphere->forget_calls();
    EXPECT_THAT(refused([&] { create({.quiesce = Quiesce::require, .disks = {}}); }).what(),
                HasSubstr(fault));
    EXPECT_EQ(vsphere->calls("CreateSnapshot_Task"), 1);
    vsphere->forget_calls();
    EXPECT_THAT(refused([&] { create({.quiesce = Quiesce::try_to, .disks = {}}); }).what(),
                HasSubstr("not powered off"));
    EXPECT_EQ(vsphere->calls("CreateSnapshot_Task"), 2);
  }
  EXPECT_THAT(snapshots(), IsEmpty());
}

TEST_F(VmwareTraps, StaleSnapshotsCarryOurMarkAndLeaveTheirChildren) {
  const SnapshotDocument stale = create();
  EXPECT_THAT(stale.snapshot_id, HasSubstr(std::string("hamal-") + k_mark));
  EXPECT_EQ(snapshots()[0]["name"], stale.snapshot_id);
  EXPECT_THAT(snapshots()[0]["description"].get<std::string>(),
              ::testing::StartsWith(stale.snapshot_id));
  vsphere->happen({{"vm", "web01"}, {"do", "snapshot"}, {"name", "later"}});
  const auto listed = platform->list_snapshots("web01");
  ASSERT_THAT(listed, SizeIs(2));
  EXPECT_TRUE(listed[0].ours);
  EXPECT_FALSE(listed[1].ours);
  platform->delete_snapshot("web01", stale.snapshot_id);
  ASSERT_THAT(snapshots(), SizeIs(1));
  EXPECT_EQ(snapshots()[0]["name"], "later");
}

// Break it: ask again without looking, or give up without looking.
TEST_F(VmwareTraps, ALostReplyMakesOneSnapshotAndNotTwo) {
  for (const char* cut : {"cut_after", "cut_before"}) {
    SCOPED_TRACE(cut);
    vsphere->set({{"task_delay_ms", 300}});
    once("CreateSnapshot_Task", cut);
    const SnapshotDocument document = create();
    EXPECT_THAT(snapshots(), SizeIs(1));
    finish(document);
    EXPECT_THAT(snapshots(), IsEmpty());
  }
}

TEST_F(VmwareTraps, AMachineThatIsBusyIsWaitedFor) {
  once("CreateSnapshot_Task", "fault:TaskInProgress");
  const SnapshotDocument document = create();
  EXPECT_THAT(snapshots(), SizeIs(1));
  once("RemoveSnapshot_Task", "task:TaskInProgress");
  finish(document);
  EXPECT_THAT(snapshots(), IsEmpty());
}

// Break it: do not forget the cookie of a session that has expired.
TEST_F(VmwareTraps, ASessionThatExpiresIsRenewed) {
  for (const char* method : {"RetrievePropertiesEx", "QueryChangedDiskAreas", "CreateSnapshot_Task",
                             "RemoveSnapshot_Task", "CreateContainerView", "ReadNextEvents"}) {
    SCOPED_TRACE(method);
    once(method, "expire");
    const SnapshotDocument document = create();
    EXPECT_THAT(all_extents(*changes(document, {}).extents), ::testing::Not(IsEmpty()));
    EXPECT_THAT(snapshots(), SizeIs(1));
    finish(document);
    EXPECT_THAT(snapshots(), IsEmpty());
  }
  // And the data's: /folder answers 401.
  const SnapshotDocument document = create();
  const auto reader = platform->open_reader(document.disks[0]);
  once("RetrieveServiceContent", "expire");
  const auto other = open();
  EXPECT_THAT(other->list_snapshots("web01"), SizeIs(1));
  EXPECT_THAT(read_all(*reader), SizeIs(k_mib));
}

// Break it: leave the places out of verify_snapshot().
TEST_F(VmwareTraps, AMoveWhileItIsReadIsNoticed) {
  const SnapshotDocument document = create();
  const auto reader = platform->open_reader(document.disks[0]);
  platform->verify_snapshot(document.vm_id, document.snapshot_id, document.disks[0]);
  vsphere->happen({{"vm", "web01"}, {"do", "host"}});
  const Error error = refused(
      [&] { platform->verify_snapshot(document.vm_id, document.snapshot_id, document.disks[0]); });
  EXPECT_TRUE(error.transient());
  EXPECT_THAT(error.what(), HasSubstr("moved to another host"));
}

// Break it: let a reader that is opened again overwrite the place.
TEST_F(VmwareTraps, AMoveIsNoticedThoughTheDiskWasOpenedAgain) {
  const SnapshotDocument document = create();
  platform->open_reader(document.disks[0]);
  vsphere->happen({{"vm", "web01"}, {"do", "host"}});
  platform->open_reader(document.disks[0]);
  EXPECT_THAT(refused([&] {
                platform->verify_snapshot(document.vm_id, document.snapshot_id, document.disks[0]);
              }).what(),
              HasSubstr("moved to another host"));
}

// Break it: leave the disks out of verify_snapshot()'s places.
TEST_F(VmwareTraps, AReconfigurationWhileItIsReadIsNoticed) {
  for (const json& event :
       {json{{"do", "add_disk"}, {"size", k_mib}}, json{{"do", "remove_disk"}, {"disk", 2001}}}) {
    const SnapshotDocument document = create({.disks = {"2000"}});
    const auto reader = platform->open_reader(document.disks[0]);
    platform->verify_snapshot(document.vm_id, document.snapshot_id, document.disks[0]);
    json happening = event;
    happening["vm"] = "web01";
    vsphere->happen(happening);
    const Error error = refused([&] {
      platform->verify_snapshot(document.vm_id, document.snapshot_id, document.disks[0]);
    });
    EXPECT_TRUE(error.transient());
    EXPECT_THAT(error.what(), HasSubstr("reconfigured"));
    finish(document);
  }
}

// Break it: any field of describe().
TEST_F(Vmware, VmsAreShownWithWhereTheirDisksLieAndHow) {
  vsphere->happen(
      {{"vm", "web01"}, {"do", "sharing"}, {"disk", 2001}, {"value", "sharingMultiWriter"}});
  finish(create({.disks = {"2000"}}));  // enables change tracking
  const Vm vm = platform->vms().back();
  ASSERT_EQ(vm.name, "web01");
  EXPECT_THAT(vm.host, ::testing::StartsWith("DC0_"));
  EXPECT_EQ(vm.tracking, true);
  EXPECT_EQ(vm.disks[0].datastore, "LocalDS_0");
  EXPECT_EQ(vm.disks[0].backing, "FlatVer2");
  EXPECT_EQ(vm.disks[0].mode, "persistent");
  EXPECT_EQ(vm.disks[0].sharing, "none");
  EXPECT_EQ(vm.disks[1].sharing, "multi-writer");
}

// Break it: leave check_space() out of make(), or let why_low() compare with 0.
TEST_F(Vmware, NoSnapshotIsMadeOnADatastoreThatIsNearlyFull) {
  vsphere->happen({{"vm", "web01"}, {"do", "free"}, {"size", 900 * k_mib}});
  const Error error = refused([&] { create(); });
  EXPECT_TRUE(error.transient());
  EXPECT_THAT(error.what(), HasSubstr("LocalDS_0 has 900 MiB left"));
  EXPECT_EQ(vsphere->calls("CreateSnapshot_Task"), 0);
  EXPECT_THAT(platform->why_not_to_hold("web01"), HasSubstr("LocalDS_0"));
  section.values["datastore_min_free"] = "899M";
  platform = open();
  EXPECT_EQ(platform->why_not_to_hold("web01"), "");
  create();
}

// Break it: leave the slot out of VimClient::cookie().
TEST_F(Vmware, SoManySessionsAreOpenedAndNoMore) {
  section.values["max_sessions"] = "2";
  auto one = open();
  auto two = open();
  const auto lock = [&](unsigned slot) {
    return FileLock(std::filesystem::path(config.defaults.hamal_lib_dir) / "vsphere" /
                        fmt::format("{}.{}", percent_encode(vsphere->endpoint()), slot),
                    "a session", {.run_id = {}, .tool = "another process"},
                    std::chrono::milliseconds(0), cancel);
  };
  const FileLock others = lock(0);
  one->vms();
  two->vms();
  EXPECT_EQ(refused([&] { lock(1); }).kind(), ErrorKind::busy);
  one.reset();
  EXPECT_EQ(refused([&] { lock(1); }).kind(), ErrorKind::busy);
  two.reset();
  EXPECT_NO_THROW(lock(1));
}

// Break it: do not give the mappings to VimClient.
TEST_F(Vmware, HostsAreFoundByTheConsolesMappings) {
  const std::string port = vsphere->endpoint().substr(vsphere->endpoint().rfind(':'));
  section.values["endpoint"] = "https://vcenter.invalid" + port;
  section.values["thumbprint"] = vsphere->thumbprint();
  config.host_mappings = {{"vcenter.invalid", {"127.0.0.1"}}};
  EXPECT_THAT(open()->vms(), SizeIs(3));
}

TEST_F(Vmware, AFailedCreateLeavesNothingBehind) {
  commit();
  // Of the snapshot's own configuration: the snapshot is there by then.
  vsphere->forget_calls();
  finish(create());
  const json calls = vsphere->state()["log"];
  const auto asked = std::find(calls.rbegin(), calls.rend(), json("CreateSnapshot_Task"));
  const auto before = std::count(asked, calls.rend(), json("RetrievePropertiesEx"));
  once("RetrievePropertiesEx", "fault:RuntimeFault", static_cast<int>(before) + 2);
  refused([&] { create(); });
  vsphere->rules(json::array());
  EXPECT_THAT(snapshots(), IsEmpty());
}

TEST_F(Vmware, FaultsNameTheCallAndTheCure) {
  once("CreateSnapshot_Task", "fault:NoPermission");
  const Error denied = refused([&] { create(); });
  EXPECT_THAT(denied.what(), HasSubstr("NoPermission"));
  EXPECT_THAT(denied.what(), HasSubstr("CreateSnapshot_Task of vm-"));
  EXPECT_THAT(denied.hint(), HasSubstr("hamal-vmware(7)"));
  once("RetrieveServiceContent", "http:404");
  platform = open();
  EXPECT_THAT(refused([&] { platform->vms(); }).what(), HasSubstr("HTTP 404"));
  section.values["secret"] = "wrong";
  platform = open();
  const Error login = refused([&] { platform->vms(); });
  EXPECT_THAT(login.what(), HasSubstr("InvalidLogin"));
  EXPECT_THAT(login.what(), ::testing::Not(HasSubstr("wrong")));
}

// Break it: let VimClient accept any certificate when thumbprint is set.
TEST_F(Vmware, TheServerIsWhoItShouldBe) {
  section.values["ca_file"] = "";
  platform = open();
  EXPECT_THAT(refused([&] { platform->vms(); }).what(), HasSubstr("not to be trusted"));
  section.values["thumbprint"] = vsphere->thumbprint();
  platform = open();
  EXPECT_THAT(platform->vms(), SizeIs(3));
  std::string other = vsphere->thumbprint();
  other.front() = other.front() == 'A' ? 'B' : 'A';
  section.values["thumbprint"] = other;
  platform = open();
  const Error error = refused([&] { platform->vms(); });
  EXPECT_THAT(error.what(), HasSubstr("thumbprint " + vsphere->thumbprint()));
  EXPECT_FALSE(error.transient());
}

// Break it: leave the loop over tokens out of retrieve_all().
TEST_F(Vmware, AnInventoryComesInPages) {
  vsphere->set({{"max_objects", 1}});
  EXPECT_THAT(platform->vms(), SizeIs(3));
  EXPECT_EQ(vsphere->calls("ContinueRetrievePropertiesEx"), 3) << "two of vms, one of hosts";
}

// Break it: leave out retrieve_pages()'s look at what it has seen, or its count.
TEST_F(Vmware, AnInventoryWithoutEndIsRefused) {
  for (const char* lie : {"again", "empty"}) {
    vsphere->set({{"max_objects", 1}, {"pages", lie}});
    const Error error = refused([&] { platform->vms(); });
    EXPECT_THAT(error.what(), HasSubstr("tells of no further one")) << lie;
    EXPECT_TRUE(error.transient());
  }
  EXPECT_LE(vsphere->calls("ContinueRetrievePropertiesEx"), 1);
  vsphere->set({{"max_objects", 1}});
  vmware::VimClient client(vmware::read_settings("vc", section).endpoint, cancel);
  std::size_t told = 0;
  const auto all = [&](std::size_t most) {
    vmware::retrieve_all(
        client, "VirtualMachine", {"name"}, [&](const auto&) { ++told; }, most);
  };
  EXPECT_THAT(refused([&] { all(2); }).what(), HasSubstr("more than 2 objects"));
  EXPECT_EQ(told, 2U);
  EXPECT_NO_THROW(all(3));
}

TEST_F(Vmware, AVmIsFoundByNameIdAndObject) {
  const Vm vm = platform->vms().back();
  ASSERT_EQ(vm.name, "web01");
  EXPECT_EQ(vm.power, "stopped");
  const std::string object = vsphere->machine("web01")["id"];
  for (const std::string& word : {vm.name, vm.id, object}) {
    EXPECT_THAT(platform->list_snapshots(word), IsEmpty()) << word;
  }
  EXPECT_EQ(refused([&] { platform->list_snapshots("web02"); }).kind(), ErrorKind::usage);
}

TEST_F(Vmware, ASessionIsEndedWithItsClient) {
  platform->vms();
  EXPECT_EQ(vsphere->state()["sessions"], 1);
  platform.reset();
  EXPECT_EQ(vsphere->state()["sessions"], 0);
}

/// Disks are read by the stand-in for VDDK, also with other snapshots there.
class VmwareReverts : public Vmware {
 protected:
  void SetUp() override {
    Vmware::SetUp();
    if (IsSkipped()) {
      return;
    }
    section.values["read_by"] = "vddk";
    section.values["nbdkit"] = stand_in();
    section.values["thumbprint"] = vsphere->thumbprint();
    platform = open();
    commit();  // enables change tracking
  }
  void revert(const std::string& name, const char* how = "revert") {
    vsphere->happen({{"vm", "web01"}, {"do", how}, {"name", name}});
  }
  /// Says to the stand-in what it needs: nbdkit gets no variables of ours.
  std::string stand_in() {
    const std::string path = scratch.file("nbdkit");
    std::ofstream(path) << "#!/bin/sh\n"
                        << "export VSPHERE_DIR='"
                        << std::filesystem::path(vsphere->ca_file()).parent_path().string()
                        << "' VSPHERE_TOLD='" << scratch.file("told")
                        << "' VSPHERE_PASSWORD='secret & <more>' VSPHERE_THUMBPRINT='"
                        << vsphere->thumbprint() << "'\n"
                        << "exec '" << HAMAL_SOURCE_DIR << "/tests/lab/vsphere/nbdkit' \"$@\"\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  SnapshotDocument create() { return Vmware::create({.disks = {"2000"}}); }
  std::vector<std::byte> frozen(const SnapshotDocument& document) {
    return read_all(*platform->open_reader(document.disks.at(0)));
  }
  /// What a target that holds `target` holds after a run of these changes.
  std::vector<std::byte> applied(const SnapshotDocument& document, Changes changes,
                                 std::vector<std::byte> target) {
    const auto reader = platform->open_reader(document.disks.at(0));
    for (const Extent& extent : all_extents(*changes.extents)) {
      const auto into = std::span(target).subspan(extent.offset, extent.length);
      std::fill(into.begin(), into.end(), std::byte{0});
      if (extent.kind == ExtentKind::data) {
        reader->read(extent.offset, into);
      }
    }
    return target;
  }
};

/// A checkpoint, and what its target holds.
struct Base {
  std::string change_id;
  std::vector<std::byte> target;
};

// Break it: leave why_reverted() out of changes_of(), or reverted_since() out of why_reverted().
TEST_F(VmwareReverts, ARevertToBeforeTheBaseIsAFull) {
  theirs("before");
  write(0, k_block, 1);
  const SnapshotDocument first = create();
  const Base base{first.disks[0].change_id, frozen(first)};
  finish(first);
  write(2 * k_block, k_block, 2);
  revert("before");
  theirs("more");
  theirs("and more");
  write(4 * k_block, k_block, 3);
  const SnapshotDocument document = create();
  Changes all = changes(document, base.change_id);
  EXPECT_EQ(all.mode, SyncMode::full);
  EXPECT_THAT(all.reason, HasSubstr("the vm was reverted to a snapshot at 20"));
  EXPECT_EQ(applied(document, std::move(all), base.target), frozen(document));
  // And that was needed: vSphere's own answer leaves out what the revert took away.
  auto client =
      std::make_shared<vmware::VimClient>(vmware::read_settings("vc", section).endpoint, cancel);
  const auto parsed = vmware::parse_change_id(base.change_id);
  const auto here = vmware::parse_change_id(document.disks[0].change_id);
  ASSERT_TRUE(parsed && here);
  auto lie = vmware::changed_areas(client,
                                   {.vm = {"VirtualMachine", here->vm},
                                    .snapshot = {"VirtualMachineSnapshot", here->snapshot},
                                    .key = 2000,
                                    .size = k_mib,
                                    .since = parsed->tracked,
                                    .object = "web01"},
                                   log);
  ASSERT_TRUE(lie);
  EXPECT_NE(applied(document, {SyncMode::incremental, "", std::move(lie)}, base.target),
            frozen(document));
}

// Break it: look at the events' types alone, or at the first page.
TEST_F(VmwareReverts, ARevertIsKnownByItsTaskAndInAnyPage) {
  theirs("before");
  const std::string base = commit();
  vsphere->set({{"silent_revert", true}, {"max_events", 1}});
  revert("before");
  Changes all = changes(create(), base);
  EXPECT_EQ(all.mode, SyncMode::full);
  EXPECT_THAT(all.reason, HasSubstr("reverted to a snapshot at"));
}

// Break it: take Reverted::unknown for no.
TEST_F(VmwareReverts, WithoutEventsABaseBesideOtherSnapshotsIsAFull) {
  theirs("before");
  const std::string base = commit();
  EXPECT_EQ(changes(create(), base).mode, SyncMode::incremental);
  platform->delete_snapshot("web01", snapshots().back()["name"]);
  vsphere->happen({{"vm", "web01"}, {"do", "forget_events"}});
  Changes all = changes(create(), base);
  EXPECT_EQ(all.mode, SyncMode::full);
  EXPECT_THAT(all.reason, HasSubstr("reach back no further"));
  platform->delete_snapshot("web01", snapshots().back()["name"]);
  vsphere->rules({{{"method", "CreateCollectorForEvents"}, {"do", "fault:NoPermission"}}});
  platform = open();
  const SnapshotDocument document = create();
  EXPECT_THAT(changes(document, base).reason, HasSubstr("NoPermission"));
  finish(document);
  const SnapshotDocument next = create();
  EXPECT_THAT(changes(next, document.disks[0].change_id).reason,
              HasSubstr("not be read at the base"));
}

// What was made after the base holds all that the base held: vSphere's answer is right then.
TEST_F(VmwareReverts, WithoutEventsARevertToAfterALoneBaseIsNoFullAndRight) {
  const SnapshotDocument first = create();
  const Base base{first.disks[0].change_id, frozen(first)};
  finish(first);
  write(0, k_block, 1);
  theirs("after");
  write(2 * k_block, k_block, 2);
  revert("after", "revert_unseen");
  write(4 * k_block, k_block, 3);
  vsphere->rules({{{"method", "CreateCollectorForEvents"}, {"do", "fault:NoPermission"}}});
  const SnapshotDocument document = create();
  Changes some = changes(document, base.change_id);
  EXPECT_EQ(some.mode, SyncMode::incremental);
  EXPECT_EQ(applied(document, std::move(some), base.target), frozen(document));
}

// Break it: leave why_not_descended() out. The server saw nothing of it here.
TEST_F(VmwareReverts, TheTreeTellsOfARevertThatTheServerDidNotSee) {
  theirs("one");
  theirs("two");
  const std::string on_two = commit();
  // Further snapshots raise the ids over that of the base.
  const auto raise = [&] {
    for (const char* name : {"a", "b", "c", "d"}) {
      theirs(name);
    }
  };
  revert("one", "revert_unseen");
  raise();
  const SnapshotDocument document = create();
  Changes away = changes(document, on_two);
  EXPECT_EQ(away.mode, SyncMode::full);
  EXPECT_THAT(away.reason, HasSubstr("goes on from snapshot \"one\""));
  const std::string on_one = document.disks[0].change_id;
  finish(document);
  revert("two", "revert_unseen");
  raise();
  Changes back = changes(create(), on_one);
  EXPECT_EQ(back.mode, SyncMode::full);
  EXPECT_THAT(back.reason, HasSubstr("goes on from snapshot \"two\""));
}

// Break it: compare vSphere's ids alone.
TEST_F(VmwareReverts, AnEqualIdOfAnotherSnapshotIsNotTheBase) {
  theirs("before");
  write(0, k_block, 1);
  const SnapshotDocument first = create();
  finish(first);
  revert("before");
  const SnapshotDocument second = create();
  const auto a = vmware::parse_change_id(first.disks[0].change_id);
  const auto b = vmware::parse_change_id(second.disks[0].change_id);
  ASSERT_TRUE(a && b);
  ASSERT_EQ(a->tracked, b->tracked) << "the simulator gives another id";
  EXPECT_EQ(changes(second, first.disks[0].change_id).mode, SyncMode::full);
  SnapshotDisk old = first.disks[0];
  old.source = second.disks[0].source;
  EXPECT_THAT(
      refused([&] { platform->verify_snapshot(second.vm_id, second.snapshot_id, old); }).what(),
      HasSubstr("change id is another one"));
}

// Break it: say in the document what was asked for instead of what was done.
TEST_F(VmwareReverts, TheDocumentSaysWhetherItWasQuiesced) {
  vsphere->happen({{"vm", "web01"}, {"do", "power"}, {"value", "poweredOn"}});
  const SnapshotOptions wish{.quiesce = Quiesce::try_to, .disks = {"2000"}};
  const SnapshotDocument quiesced = Vmware::create(wish);
  EXPECT_TRUE(quiesced.quiesced);
  finish(quiesced);
  vsphere->set({{"quiesce_fault", "ApplicationQuiesceFault"}});
  EXPECT_FALSE(Vmware::create(wish).quiesced);
}

// Break it: leave the vm's object out of the change id.
TEST_F(VmwareReverts, AVmThatWasRegisteredAnewIsAFull) {
  const std::string base = commit();
  const SnapshotDocument document = create();
  std::string other = base;
  other.replace(other.find("vm=vm-"), 6, "vm=vm-9");
  EXPECT_THAT(changes(document, other).reason, HasSubstr("registered anew"));
}

// Break it: ask VDDK what is allocated when the vm has other snapshots.
TEST_F(VmwareReverts, ALinkedCloneIsReadWholeBesideASnapshotOfSomebodyElses) {
  write(k_block, 100, 1);
  vsphere->happen({{"vm", "web01"}, {"do", "linked"}, {"disk", 2000}});
  theirs("other");
  const SnapshotDocument document = create();
  Changes all = changes(document, {});
  EXPECT_EQ(all.mode, SyncMode::full);
  EXPECT_THAT(all.reason, HasSubstr("continues another disk"));
  EXPECT_THAT(all_extents(*all.extents), ElementsAre(Extent{0, k_mib, ExtentKind::data}));
}

TEST(VmwareEsxi, ASingleHost) {
  if (const std::string why = why_no_vsphere(); !why.empty()) {
    GTEST_SKIP() << why;
  }
  Vsphere host({"--esx", "--vm", "web01:1M:off"});
  write_at(host.live("web01", 0), 0, sample_content(k_mib, 5));
  Config config;
  const ScratchDirectory scratch;
  config.defaults.hamal_lib_dir = scratch.path();
  Logger log;
  CancelToken cancel;
  const auto platform =
      make_vmware_platform("esx", host.section("esx"), {config, log, cancel, k_mark});
  const SnapshotDocument document = platform->create_snapshot("web01", {});
  EXPECT_TRUE(document.disks[0].tracked);
  EXPECT_EQ(read_all(*platform->open_reader(document.disks[0])), sample_content(k_mib, 5));
  platform->finish_snapshot(document, Outcome::committed, {});
  EXPECT_THAT(host.state()["violations"], IsEmpty());
}

}  // namespace
}  // namespace hamal::testing
