// The platform vmware under the suite, and each trap of vSphere by its name. "Break it" says what
// in the client makes the test fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>

#include <fstream>
#include <optional>

#include "hamal/platform/vmware/vmware_platform.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
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
  const std::string& now = document.disks[0].change_id;
  EXPECT_THAT(changes(document, now.substr(0, now.find('/')) + "/99").reason,
              HasSubstr("reverted"));
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
                             "RemoveSnapshot_Task", "CreateContainerView"}) {
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

TEST_F(Vmware, AFailedCreateLeavesNothingBehind) {
  once("RetrievePropertiesEx", "fault:RuntimeFault", 4);
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
  EXPECT_EQ(vsphere->calls("ContinueRetrievePropertiesEx"), 2);
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

TEST(VmwareEsxi, ASingleHost) {
  if (const std::string why = why_no_vsphere(); !why.empty()) {
    GTEST_SKIP() << why;
  }
  Vsphere host({"--esx", "--vm", "web01:1M:off"});
  write_at(host.live("web01", 0), 0, sample_content(k_mib, 5));
  Config config;
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
