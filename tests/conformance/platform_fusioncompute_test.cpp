// The platform fusion_compute under the suite, and each rule of its page by name. "Break it" says
// what in the client makes the test fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>

#include <optional>

#include "fusioncompute.hpp"
#include "hamal/platform/fusioncompute/change_id.hpp"
#include "hamal/platform/fusioncompute/fusioncompute_platform.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "io_helpers.hpp"
#include "platform_suite.hpp"

namespace hamal::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint64_t k_mib = 1U << 20U;
constexpr std::uint64_t k_block = 65536;
constexpr const char* k_mark = "0123abcd";

void write_at(const std::string& path, std::uint64_t offset, std::span<const std::byte> data) {
  pwrite_all(open_file(path, O_WRONLY).get(), data, offset, path);
}

class FusionComputeLab : public PlatformLab {
 public:
  FusionComputeLab() : m_server({"web01:1M"}), m_live(m_server.live("web01", 0)) {
    write_at(m_live, 0, sample_content(k_mib, 3));
  }
  ~FusionComputeLab() override { EXPECT_THAT(m_server.state()["violations"], IsEmpty()); }
  std::unique_ptr<Platform> open(const std::string& mark) override {
    return make_fusioncompute_platform("fc", m_server.section("fc"), context(mark));
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
    m_server.happen({{"vm", "web01"}, {"do", "remove_snapshot"}, {"name", document.snapshot_id}});
  }
  bool freezes() const override { return true; }
  bool tracks() const override { return true; }
  bool a_failed_run_costs_a_full() const override { return true; }

 private:
  FusionCompute m_server;
  std::string m_live;
};

INSTANTIATE_TEST_SUITE_P(FusionCompute, PlatformConformance,
                         ::testing::Values(PlatformKind{
                             "fusion_compute", [] { return std::make_unique<FusionComputeLab>(); },
                             why_no_fusioncompute}),
                         [](const auto& kind) { return kind.param.name; });

class FusionComputeRules : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_no_fusioncompute(); !why.empty()) {
      GTEST_SKIP() << why;
    }
    server.emplace(std::vector<std::string>{"web01:1M,2M", "web02:1M"});
    section = server->section("fc");
    platform = open();
  }
  void TearDown() override {
    // Whatever a test did, no request was one that no server should be sent.
    if (server) {
      EXPECT_THAT(server->state()["violations"], IsEmpty());
    }
  }
  std::unique_ptr<Platform> open() {
    return make_fusioncompute_platform("fc", section, {config, log, cancel, k_mark});
  }
  void write(std::uint64_t offset, std::size_t length, unsigned value, std::size_t disk = 0) {
    write_at(server->live("web01", disk), offset,
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
  /// Of the first disk at a new snapshot.
  Changes changes_since(const std::string& base) {
    const SnapshotDocument document = create();
    return platform->changed_extents(document, document.disks.at(0), base);
  }
  void befalls(const std::string& what, json more = json::object()) {
    more["vm"] = "web01";
    more["do"] = what;
    server->happen(more);
  }
  json snapshots() { return server->machine("web01")["snapshots"]; }
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

  std::optional<FusionCompute> server;
  NamedSection section;
  Config config;
  Logger log;
  CancelToken cancel;
  std::unique_ptr<Platform> platform;
};

// Break it: leave the session as it is in attempt() after a 401.
TEST_F(FusionComputeRules, ASessionThatIsNotAcceptedIsRenewedOnce) {
  server->faults({{{"do", "expire"}, {"contains", "/vms"}}});
  EXPECT_THAT(platform->vms(), SizeIs(2));
  EXPECT_EQ(server->calls("POST /session"), 2);
  section.values["secret"] = "wrong";
  EXPECT_THAT(refused([&] { open()->vms(); }).what(), HasSubstr("10000003"));
}

// The server says that sessions end at once, and they do not: none is refused. Break it: do not
// look at renew_at in token().
TEST_F(FusionComputeRules, ASessionIsRenewedBeforeItEnds) {
  server->set({{"validity_ms", 1}});
  EXPECT_THAT(platform->vms(), SizeIs(2));
  EXPECT_EQ(server->calls("POST /session"), server->calls("GET /sites"));
  EXPECT_EQ(server->calls("DELETE /session"), server->calls("POST /session") - 1);
}

// Break it: leave the tolerance out of Loose::number(); read "chgID" alone.
TEST_F(FusionComputeRules, NumbersMayBeTextAndChgIdSpelledOtherwise) {
  server->set({{"numbers_as_text", true}, {"spelling", "ChgID"}});
  const std::string base = commit();
  write(3 * k_block, 10, 7);
  Changes changes = changes_since(base);
  EXPECT_EQ(changes.mode, SyncMode::incremental) << changes.reason;
  EXPECT_THAT(all_extents(*changes.extents), SizeIs(1));
}

// Break it: end list_site() after its first page.
TEST_F(FusionComputeRules, ListsComeInPages) {
  server->set({{"page", 1}});
  EXPECT_THAT(platform->vms(), SizeIs(2));
}

TEST_F(FusionComputeRules, TheUserTypeIsSentWhereConfigured) {
  server->set({{"types", "2"}});
  EXPECT_THAT(refused([&] { platform->vms(); }).what(), HasSubstr("10000003"));
  section.values["auth_user_type"] = "2";
  EXPECT_THAT(open()->vms(), SizeIs(2));
}

TEST_F(FusionComputeRules, AVersionThatIsNotOfferedNamesThoseThatAre) {
  section.values["api_version"] = "v9.9";
  EXPECT_THAT(refused([&] { open()->vms(); }).what(), AllOf(HasSubstr("v9.9"), HasSubstr("v8.0")));
}

TEST_F(FusionComputeRules, AnotherCertificateIsRefused) {
  section.values["thumbprint"] = std::string(64, 'a');
  EXPECT_THAT(refused([&] { open()->vms(); }).what(), HasSubstr("certificate is another one"));
}

// Break it: leave one of the checks out of why_unprotectable().
TEST_F(FusionComputeRules, APrecheckSaysWhyAndMakesNothing) {
  const auto is_refused_with = [&](const std::string& code) {
    EXPECT_THAT(refused([&] { create(); }).what(), HasSubstr(code));
    EXPECT_FALSE(platform->vms().front().disks.front().protectable);
  };
  befalls("set", {{"set", {{"tools", "notRunning"}}}});
  is_refused_with("10300026");
  befalls("set", {{"set", {{"tools", "running"}, {"template", true}}}});
  is_refused_with("10300141");
  befalls("set", {{"set", {{"template", false}, {"linked", true}}}});
  is_refused_with("10300142");
  befalls("set", {{"set", {{"linked", false}}}});
  befalls("disk", {{"disk", 2}, {"set", {{"type", "share"}}}});
  is_refused_with("10420108");
  EXPECT_EQ(server->calls("POST /sites"), 0);
  befalls("disk", {{"disk", 2}, {"set", {{"type", "normal"}, {"indep", true}}}});
  const SnapshotDocument document = create();
  ASSERT_THAT(document.disks, SizeIs(1));
  EXPECT_THAT(document.hardware, HasSubstr("\"left_out\":[{\"id\":\"disk2\""));
  SnapshotOptions options;
  options.disks = {"disk2"};
  EXPECT_EQ(refused([&] { create(options); }).kind(), ErrorKind::usage);
}

// Break it: ask again in create() without was_created().
TEST_F(FusionComputeRules, ACreationThatIsNotAnsweredIsLookedFor) {
  server->faults({{{"do", "lost"}, {"contains", "POST /sites"}}});
  create();
  EXPECT_THAT(snapshots(), SizeIs(1));
  server->faults({{{"do", "lost_before"}, {"contains", "POST /sites"}}});
  create();
  EXPECT_THAT(snapshots(), SizeIs(2));
}

// Break it: give up in retry_conflicts() at once.
TEST_F(FusionComputeRules, AConflictIsWaitedFor) {
  for (const char* code : {"10300162", "10300421", "10300112", "10300110"}) {
    server->faults({{{"do", "refuse"}, {"contains", "POST /sites"}, {"code", code}},
                    {{"do", "refuse"}, {"contains", "DELETE /sites"}, {"code", code}}});
    const SnapshotDocument document = create();
    platform->delete_snapshot("web01", document.snapshot_id);
    EXPECT_THAT(snapshots(), IsEmpty()) << code;
  }
}

// Break it: leave patience out of wait_for_task().
TEST_F(FusionComputeRules, ATaskThatHangsIsGivenUp) {
  config.fusion_compute.create_snap_task_timeout = std::chrono::milliseconds(200);
  config.fusion_compute.delete_snap_task_timeout = std::chrono::milliseconds(200);
  platform = open();
  server->faults({{{"do", "hang"}, {"contains", "TASK snapshot"}}});
  const Error error = refused([&] { create(); });
  EXPECT_TRUE(error.transient());
  EXPECT_THAT(error.what(), HasSubstr("create_snap_task_timeout"));
}

TEST_F(FusionComputeRules, AFailedTaskNamesItsCodeAndTheCure) {
  server->faults({{{"do", "fail"}, {"contains", "TASK snapshot"}, {"code", "10300017"}}});
  EXPECT_THAT(refused([&] { create(); }).what(),
              AllOf(HasSubstr("10300017"), HasSubstr("storage does not suit")));
  EXPECT_THAT(snapshots(), IsEmpty());
}

// Break it: leave check_room() out.
TEST_F(FusionComputeRules, AVmFullOfSnapshotsGetsNoMore) {
  section.values["max_snapshots"] = "1";
  platform = open();
  befalls("foreign_snapshot", {{"name", "somebody's"}});
  EXPECT_THAT(refused([&] { create(); }).what(), HasSubstr("max_snapshots is 1"));
  section.values["max_snapshots"] = "31";
  platform = open();
  server->set({{"max_snapshots", 1}});
  EXPECT_THAT(refused([&] { create(); }).what(), HasSubstr("10300111"));
}

// Break it: leave one of the comparisons out of why_not_comparable(), is_ancestor() out of
// why_full(), or the host out of the change id.
TEST_F(FusionComputeRules, EveryBreakIsAFullWithItsReason) {
  const auto becomes_full = [&](const std::string& base, const std::string& reason) {
    const Changes changes = changes_since(base);
    EXPECT_EQ(changes.mode, SyncMode::full) << reason;
    EXPECT_THAT(changes.reason, HasSubstr(reason));
    for (const json& one : snapshots()) {
      befalls("remove_snapshot", {{"name", one["name"]}});
    }
  };
  std::string base = commit();
  befalls("foreign_snapshot", {{"name", "somebody's"}});
  becomes_full(base, "chgID went from 1 to 3");
  base = commit();
  befalls("reboot_host");
  becomes_full(base, "the host was restarted");
  base = commit();
  befalls("reset_tracking");
  becomes_full(base, "volCBTCreateTime");
  base = commit();
  befalls("grow", {{"disk", 1}, {"size", 2 * k_mib}});
  becomes_full(base, "had 1048576 bytes and has 2097152 now");
  base = commit();
  befalls("move");
  becomes_full(base, "another host");
  base = commit();
  befalls("move_disk");
  becomes_full(base, "another datastore");
  base = commit();
  befalls("revert");
  becomes_full(base, "reverted");
  base = commit();
  befalls("remove_snapshot", {{"name", snapshots()[0]["name"]}});
  becomes_full(base, "is gone");
  base = commit();
  server->faults({{{"do", "refuse"}, {"contains", "getcbt"}, {"code", "10430041"}}});
  becomes_full(base, "getcbt refuses with 10430041");
  becomes_full(fusioncompute::to_string({.volume_urn = "urn:sites:other:volumes:1",
                                         .snapshot_urn = {},
                                         .snap_uuid = {},
                                         .tracking_begun = "1",
                                         .change_number = 1,
                                         .size = 2 * k_mib,
                                         .host_urn = {},
                                         .datastore_urn = {}}),
               "another volume");
}

// chgID begins anew, and the one after it looks as if it followed the base's. Break it: leave
// remove_outrun() out of describe().
TEST_F(FusionComputeRules, ARestartOfTheHostIsNotForgottenWithARunThatFailed) {
  for (const bool with_document : {true, false}) {
    const std::string base = commit();
    write(0, 10, 5);
    befalls("reboot_host");
    const SnapshotDocument lost = create();
    EXPECT_THAT(snapshots(), SizeIs(1)) << "the base is removed at once";
    if (with_document) {
      platform->finish_snapshot(lost, Outcome::failed, {base});
    } else {
      platform->delete_snapshot("web01", lost.snapshot_id);
    }
    write(4 * k_block, 10, 6);
    const SnapshotDocument now = create();
    const Changes changes = platform->changed_extents(now, now.disks[0], base);
    EXPECT_EQ(changes.mode, SyncMode::full);
    EXPECT_THAT(changes.reason, HasSubstr("is gone"));
    finish(now);
    befalls("reset_tracking");
  }
}

// A run that could not remove the base, or was killed before. Break it: leave remove_outrun() out
// of remove().
TEST_F(FusionComputeRules, WhatShowsThatTheHostWasRestartedGoesAfterTheBase) {
  const std::string base = commit();
  write(0, 10, 5);
  befalls("reboot_host");
  server->faults(
      {{{"do", "refuse"}, {"contains", "DELETE /sites"}, {"code", "10300017"}, {"times", 2}}});
  EXPECT_THAT(refused([&] { create(); }).what(), HasSubstr("10300017"));
  ASSERT_THAT(snapshots(), SizeIs(2));
  platform->delete_snapshot("web01", snapshots()[1]["name"].get<std::string>());
  EXPECT_THAT(snapshots(), IsEmpty());
  write(4 * k_block, 10, 6);
  EXPECT_EQ(changes_since(base).mode, SyncMode::full);
}

// Break it: leave remove_outrun() out of describe(), and let why_full() take any ancestor.
TEST_F(FusionComputeRules, ARestartOfTheHostBetweenTwoTargets) {
  const std::string base = commit();  // of the first one
  write(0, 10, 5);
  befalls("reboot_host");
  const SnapshotDocument of_second = create();
  EXPECT_EQ(platform->changed_extents(of_second, of_second.disks[0], {}).mode, SyncMode::full);
  platform->finish_snapshot(of_second, Outcome::committed, {base});
  write(4 * k_block, 10, 6);
  EXPECT_EQ(changes_since(base).mode, SyncMode::full);
}

// Break it: let why_full() take any ancestor.
TEST_F(FusionComputeRules, ChangesCountFromTheSnapshotBelowAlone) {
  const std::string base = commit();
  write(0, 10, 5);
  befalls("reboot_host");
  befalls("foreign_snapshot", {{"name", "somebody's"}});  // chgID 1, and ours gets 2
  write(4 * k_block, 10, 6);
  const Changes changes = changes_since(base);
  EXPECT_EQ(changes.mode, SyncMode::full);
  EXPECT_THAT(changes.reason, HasSubstr("another snapshot lies between"));
}

// Break it: use find_machine() in end_at(), or leave out what it does with a VrmError.
TEST_F(FusionComputeRules, ASnapshotOfAVmThatIsGoneIsGone) {
  const SnapshotDocument document = create();
  befalls("destroy");
  finish(document);
  platform->finish_snapshot(document, Outcome::failed, {});
  platform->delete_snapshot(document.vm_id, document.snapshot_id);
  EXPECT_THAT(platform->list_snapshots(document.vm_id), IsEmpty());
  EXPECT_EQ(refused([&] { platform->list_snapshots("web01"); }).kind(), ErrorKind::usage);
  EXPECT_EQ(refused([&] { platform->changed_extents(document, document.disks[0], {}); }).kind(),
            ErrorKind::usage);
}

// Break it: let a page that ends early end the disk; believe bit1Num; take a block size of 0.
TEST_F(FusionComputeRules, BitmapsThatLieAreRefused) {
  for (const char* lie : {"short", "long", "count", "block"}) {
    const std::string base = commit();
    server->set({{"lie", lie}});
    EXPECT_THAT(refused([&] { changes_since(base); }).what(), AllOf(HasSubstr("getcbt"))) << lie;
    server->set({{"lie", ""}});
    for (const json& one : snapshots()) {
      befalls("remove_snapshot", {{"name", one["name"]}});
    }
  }
}

// 4096 blocks: four pages. Break it: begin the second page at block 0.
TEST_F(FusionComputeRules, BitmapsComeInPages) {
  server->set({{"block", 512}});
  const std::string base = commit();
  for (const std::uint64_t block : {0U, 7U, 8U, 1023U, 1024U, 2047U}) {
    write(block * 512, 512, 9);
  }
  const SnapshotDocument document = create();
  const std::vector<Extent> found =
      all_extents(*platform->changed_extents(document, document.disks[0], base).extents);
  EXPECT_EQ(found,
            (std::vector<Extent>{{0, 512}, {3584, 1024}, {1023 * 512, 1024}, {2047 * 512, 512}}));
  EXPECT_EQ(server->calls("getcbt"), 2);
}

// Break it: throw in next() when a later page is refused; leave m_end at false there.
TEST_F(FusionComputeRules, WhatIsNotKnownAnyMoreMayAllHaveChanged) {
  server->set({{"block", 512}});
  const std::string base = commit();
  write(0, 512, 9);
  const SnapshotDocument document = create();
  server->faults({{{"do", "refuse"}, {"contains", "getcbt"}, {"code", "10430041"}, {"skip", 1}}});
  const std::vector<Extent> found =
      all_extents(*platform->changed_extents(document, document.disks[0], base).extents);
  EXPECT_EQ(found, (std::vector<Extent>{{0, 512}, {k_mib / 2, k_mib / 2}}));
}

// Break it: remove every older snapshot in finish_snapshot(); leave the older one.
TEST_F(FusionComputeRules, TheBaseStaysUntilALaterOneIsCommitted) {
  const SnapshotDocument first = create();
  finish(first);
  ASSERT_THAT(snapshots(), SizeIs(1));
  const SnapshotDocument second = create();
  platform->finish_snapshot(second, Outcome::failed, {first.disks[0].change_id});
  ASSERT_THAT(snapshots(), SizeIs(1));
  EXPECT_EQ(snapshots()[0]["name"], first.snapshot_id);
  const SnapshotDocument third = create();
  platform->finish_snapshot(third, Outcome::committed, {first.disks[0].change_id});
  EXPECT_THAT(snapshots(), SizeIs(2));
  befalls("foreign_snapshot", {{"name", "somebody's"}});
  SnapshotOptions options;
  options.disks = {"disk2"};
  finish(create(options));
  EXPECT_THAT(snapshots(), SizeIs(4)) << "those were made for disk1, too";
  const SnapshotDocument last = create();
  finish(last);
  ASSERT_THAT(snapshots(), SizeIs(2));
  EXPECT_EQ(snapshots()[0]["name"], "somebody's");
  EXPECT_EQ(snapshots()[1]["name"], last.snapshot_id);
}

TEST_F(FusionComputeRules, WhereNoReaderFitsTheErrorSaysWhatToProvide) {
  section.values.erase("file_path");
  platform = open();
  EXPECT_THAT(refused([&] { create(); }).what(),
              AllOf(HasSubstr("its datastore is store1"), HasSubstr("DSWARE"), HasSubstr("rbd_uri"),
                    HasSubstr("file_path")));
  EXPECT_THAT(snapshots(), IsEmpty());
  section.values["file_path.store1"] = server->section("fc").get("file_path");
  platform = open();
  const SnapshotDocument document = create();
  const Changes changes = platform->changed_extents(document, document.disks[0], {});
  EXPECT_EQ(changes.read_by, "file");
  EXPECT_EQ(changes.read_by_reason, "file_path.store1 is configured");
}

// Break it: let fill_in() put a "/" into a path.
TEST_F(FusionComputeRules, ANameOfTheServerCannotLeadElsewhere) {
  server->faults({{{"do", "reply"},
                   {"contains", "/volumes/"},
                   {"body", R"({"uuid":"u","volNameOnDev":"../../etc/passwd"})"}}});
  EXPECT_THAT(refused([&] { create(); }).what(), HasSubstr("{volume}"));
}

}  // namespace
}  // namespace hamal::testing
