// What may not be imported: each value changed by itself is refused by its place, and none is not.
//
// Break it: drop a rule.
#include "hamal/state/state_dump_check.hpp"

#include <gtest/gtest.h>

#include "hamal/stream/snapshot_document.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

const std::filesystem::path k_plans = "/var/lib/hamal//plans";

std::string document() {
  SnapshotDocument one;
  one.platform = "lab";
  one.platform_type = "qemu";
  one.vm_id = "vm-1";
  one.vm_name = "web";
  one.snapshot_id = "s";
  one.created = "2026-11-25T00:00:00.000Z";
  SnapshotDisk disk;
  disk.id = "vda";
  disk.size = 4096;
  disk.source = "file:/gone";
  one.disks.push_back(disk);
  return to_json(one);
}

const std::map<std::string, DumpValue> k_good{
    {"platform", "lab"},
    {"vm_id", "vm-1"},
    {"disk_id", "vda"},
    {"target", "file:/srv/x.raw"},
    {"snapshot_id", "s"},
    {"generation", std::int64_t{7}},
    {"target_created", std::int64_t{1}},
    {"restore_path", "/srv/x.raw.hamal-restore"},
    {"plan_path", "/var/lib/hamal/plans/vm-1/plan.1"},
    {"task", "t"},
    {"id", "t"},
};
const std::map<std::string, std::string> k_states{
    {"snapshots", "created"}, {"runs", "done"}, {"tasks", "over"}};

DumpValue good(const DumpTable& table, const DumpColumn& column) {
  const std::string name = column.name;
  if (name == "state") {
    return k_states.at(table.name);
  }
  if (name == "document") {
    return document();
  }
  if (name == "mode") {
    return std::string("incremental");
  }
  const auto known = k_good.find(name);
  if (known != k_good.end()) {
    return known->second;
  }
  return column.kind == DumpColumn::Kind::text ? DumpValue(std::string())
                                               : DumpValue(std::int64_t{0});
}

StateDump sample() {
  StateDump dump;
  dump.installation_id = "0f4c2f9e-7a0b-4c0e-9b64-0d8f9e6f1a2b";
  for (const DumpTable& table : dump_tables()) {
    DumpRow& row = dump.rows[table.name].emplace_back();
    for (const DumpColumn& column : table.columns) {
      row.push_back(good(table, column));
    }
  }
  return dump;
}

std::string problem(const StateDump& dump) {
  try {
    check_state_dump(dump, "the file");
  } catch (const Error& error) {
    EXPECT_EQ(exit_status(error), ExitStatus::usage);
    return error.what();
  }
  return {};
}

StateDump sample_with(const std::string& table, const std::string& column, const DumpValue& value) {
  StateDump dump = sample();
  for (const DumpTable& one : dump_tables()) {
    for (std::size_t i = 0; one.name == table && i < one.columns.size(); ++i) {
      if (one.columns[i].name == column) {
        dump.rows[table].front().at(i) = value;
      }
    }
  }
  return dump;
}

std::string problem_with(const std::string& table, const std::string& column,
                         const DumpValue& value) {
  return problem(sample_with(table, column, value));
}

TEST(StateDumpCheck, WhatWeWroteIsTaken) {
  EXPECT_EQ(problem(sample()), "");
}

TEST(StateDumpCheck, WhatWeDoNotWriteIsRefusedByItsPlace) {
  const std::tuple<const char*, const char*, DumpValue> k_wrong[] = {
      {"checkpoints", "platform", ""},
      {"checkpoints", "target", ""},
      {"checkpoints", "generation", std::int64_t{0}},
      {"checkpoints", "committed", "yesterday"},
      {"checkpoints", "released", "then"},
      {"in_progress", "vm_id", ""},
      {"in_progress", "mode", "full+incremental"},
      {"in_progress", "target_created", std::int64_t{2}},
      {"in_progress", "started", "now"},
      {"in_progress", "plan_path", "plans/vm-1/plan.1"},
      {"in_progress", "plan_path", "/var/lib/hamal/plans/../hamal.db"},
      {"in_progress", "restore_path", "/srv/other.raw.hamal-restore"},
      {"in_progress", "restore_path", "/etc/passwd"},
      {"snapshots", "state", "held"},
      {"snapshots", "document", "{}"},
      {"snapshots", "vm_id", "vm-2"},
      {"runs", "state", "dead"},
      {"runs", "mode", "none"},
      {"runs", "next_run", "soon"},
      {"tasks", "state", "running"},
      {"tasks", "id", ""},
      {"task_reports", "task", ""},
  };
  for (const auto& [table, column, value] : k_wrong) {
    const std::string said = problem_with(table, column, value);
    EXPECT_NE(said.find(std::string("tables.") + table + "[0]: "), std::string::npos)
        << table << "." << column << ": " << said;
  }
}

TEST(StateDumpCheck, APlanThatIsNotOursIsForgotten) {
  // Break it: compare the paths as texts, or forget nothing: a run would remove what lies there.
  for (const char* plan : {"/etc/passwd", "/var/lib/hamal/plans",
                           "/var/lib/hamal/plans-of-mine/plan.1", "/srv/other/plans/vm-1/plan.1"}) {
    StateDump dump = sample_with("in_progress", "plan_path", plan);
    EXPECT_EQ(problem(dump), "") << plan;
    EXPECT_EQ(forget_foreign_plans(dump, k_plans), 1U) << plan;
    EXPECT_EQ(dump.rows, sample_with("in_progress", "plan_path", "").rows) << plan;
  }
  StateDump own = sample();
  EXPECT_EQ(forget_foreign_plans(own, k_plans), 0U);
  EXPECT_EQ(own.rows, sample().rows);
}

TEST(StateDumpCheck, AStateThatNeverMadeAnythingIsRefused) {
  StateDump dump = sample();
  dump.installation_id.clear();
  EXPECT_NE(problem(dump).find("installation_id"), std::string::npos);
}

}  // namespace
}  // namespace hamal
