// The reports of hamal-snapshot, as people and as scripts read them.
#include "hamal-snapshot/report.hpp"

#include <gmock/gmock.h>

#include "common/table.hpp"

namespace hamal {
namespace {

using ::testing::HasSubstr;

const std::vector<Vm> k_vms{
    {"id-1", "web01", "running", {{"vda", "/images/w.qcow2", 1ULL << 30, true, "bitmaps"}}},
    {"id-2", "empty", "stopped", {}}};

TEST(SnapshotReportTest, vms_as_a_table) {
  EXPECT_EQ(report_vms("lab", k_vms, ReportFormat::text),
            "VM     ID    POWER    DISK  SIZE   PROTECTABLE  REASON\n"
            "web01  id-1  running  vda   1 GiB  yes          bitmaps\n"
            "empty  id-2  stopped  -     -      -            -\n");
}

TEST(SnapshotReportTest, vms_as_json) {
  EXPECT_EQ(report_vms("lab", k_vms, ReportFormat::json),
            R"({"platform":"lab","vms":[{"id":"id-1","name":"web01","power":"running","disks":)"
            R"([{"id":"vda","label":"/images/w.qcow2","size":1073741824,"protectable":true,)"
            R"("reason":"bitmaps"}]},{"id":"id-2","name":"empty","power":"stopped","disks":[]}]})"
            "\n");
}

TEST(SnapshotReportTest, snapshots_say_whose_they_are) {
  const std::vector<ListedSnapshot> snapshots{
      {{"hamal-1", "id-1", "2026-11-22T21:24:35.123Z", "held", true}, true},
      {{"other", "id-1", "", "base", false}, false}};
  EXPECT_EQ(report_snapshots("lab", snapshots, ReportFormat::text),
            "SNAPSHOT  VM    CREATED                   STATE  OURS  RECORDED\n"
            "hamal-1   id-1  2026-11-22T21:24:35.123Z  held   yes   yes\n"
            "other     id-1  -                         base   no    no\n");
  EXPECT_THAT(report_snapshots("lab", snapshots, ReportFormat::json),
              HasSubstr(R"({"id":"other","vm_id":"id-1","created":"","state":"base","ours":false,)"
                        R"("recorded":false})"));
}

TEST(SnapshotReportTest, stale_says_what_became_of_each_and_why) {
  const StaleReport report{"lab",
                           false,
                           {{"id-1", "hamal-1", StaleAction::deleted, "its run is dead"},
                            {"id-1", "other", StaleAction::left, "not ours"},
                            {"id-2", "hamal-2", StaleAction::failed, "cannot"}},
                           {"id-3"}};
  EXPECT_EQ(report_stale(report, ReportFormat::text),
            "SNAPSHOT  VM    ACTION   REASON\n"
            "hamal-1   id-1  deleted  its run is dead\n"
            "other     id-1  left     not ours\n"
            "hamal-2   id-2  failed   cannot\n"
            "-         id-3  skipped  another run holds the vm\n");
  StaleReport dry = report;
  dry.dry_run = true;
  EXPECT_THAT(report_stale(dry, ReportFormat::json),
              HasSubstr(R"({"platform":"lab","dry_run":true,"snapshots":[{"id":"hamal-1",)"
                        R"("vm_id":"id-1","action":"would delete","reason":"its run is dead"},)"));
  EXPECT_THAT(report_stale(dry, ReportFormat::json), HasSubstr(R"("busy":["id-3"]})"));
}

TEST(SnapshotReportTest, names_that_are_no_utf8_do_not_fail_the_report) {
  const std::vector<Vm> vms{{"i", "\xff", "running", {}}};
  EXPECT_THAT(report_vms("lab", vms, ReportFormat::json), HasSubstr("\xef\xbf\xbd"));
}

TEST(TableTest, control_characters_cannot_move_the_cursor) {
  EXPECT_THAT(format_table({{"A"}, {"x\x1b[2J\ny"}}), ::testing::Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace hamal
