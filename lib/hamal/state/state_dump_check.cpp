#include "hamal/state/state_dump_check.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <map>

#include "hamal/stream/snapshot_document.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view k_file = "file:";
constexpr std::string_view k_clone = ".hamal-restore";

/// The fields of one row by their names.
class Row {
 public:
  Row(const DumpTable& table, const DumpRow& row) : m_table(table), m_row(row) {}
  const std::string& text(const std::string& column) const {
    return std::get<std::string>(m_row.at(at(column)));
  }
  std::int64_t number(const std::string& column) const {
    return std::get<std::int64_t>(m_row.at(at(column)));
  }

 private:
  std::size_t at(const std::string& column) const {
    const auto found = std::find_if(m_table.columns.begin(), m_table.columns.end(),
                                    [&](const auto& one) { return column == one.name; });
    return static_cast<std::size_t>(found - m_table.columns.begin());
  }
  const DumpTable& m_table;
  const DumpRow& m_row;
};

/// What is wrong; empty: nothing.
using Rule = std::function<std::string(const Row&)>;

Rule one_of(const char* column, const std::vector<std::string>& words) {
  return [column, words](const Row& row) {
    const std::string& value = row.text(column);
    return std::find(words.begin(), words.end(), value) != words.end()
               ? std::string()
               : fmt::format("{} is \"{}\"", column, escape_control(value));
  };
}

Rule not_empty(const char* column) {
  return [column](const Row& row) {
    return row.text(column).empty() ? fmt::format("{} is empty", column) : std::string();
  };
}

Rule at_least(const char* column, std::int64_t least, std::int64_t most) {
  return [column, least, most](const Row& row) {
    const std::int64_t value = row.number(column);
    return value < least || value > most ? fmt::format("{} is {}", column, value) : std::string();
  };
}

Rule time_or_nothing(const char* column) {
  return [column](const Row& row) {
    const std::string& value = row.text(column);
    return value.empty() || parse_rfc3339(value)
               ? std::string()
               : fmt::format("{} is no time: \"{}\"", column, escape_control(value));
  };
}

std::string document_problem(const Row& row) {
  const std::string& document = row.text("document");
  if (row.text("state") == "intended") {
    return document.empty() ? "" : "document is that of an intended snapshot";
  }
  try {
    const SnapshotDocument snapshot = parse_snapshot_document(document, "document");
    return snapshot.snapshot_id == row.text("snapshot_id") && snapshot.vm_id == row.text("vm_id") &&
                   snapshot.platform == row.text("platform")
               ? ""
               : "document is of another snapshot";
  } catch (const Error& error) {
    return error.what();
  }
}

std::string plan_problem(const Row& row) {
  const fs::path plan = row.text("plan_path");
  return plan.empty() || (plan.is_absolute() && plan == plan.lexically_normal())
             ? std::string()
             : fmt::format("plan_path is not absolute and normal: {}",
                           escape_control(plan.string()));
}

bool lies_below(const fs::path& path, const fs::path& folder) {
  const fs::path below = path.lexically_relative(folder.lexically_normal());
  return !below.empty() && *below.begin() != ".." && *below.begin() != ".";
}

std::string clone_problem(const Row& row) {
  const std::string& clone = row.text("restore_path");
  const std::string& target = row.text("target");
  return clone.empty() || (target.starts_with(k_file) &&
                           clone == target.substr(k_file.size()) + std::string(k_clone))
             ? std::string()
             : fmt::format("restore_path is not beside the target: {}", escape_control(clone));
}

std::map<std::string, std::vector<Rule>> rules() {
  constexpr std::int64_t k_most = INT64_MAX;
  return {
      {"checkpoints",
       {not_empty("platform"), not_empty("vm_id"), not_empty("disk_id"), not_empty("target"),
        at_least("generation", 1, k_most), time_or_nothing("committed"),
        time_or_nothing("released")}},
      {"in_progress",
       {not_empty("platform"), not_empty("vm_id"), not_empty("disk_id"), not_empty("target"),
        one_of("mode", {"full", "incremental"}), at_least("target_created", 0, 1),
        time_or_nothing("started"), plan_problem, clone_problem}},
      {"snapshots",
       {not_empty("platform"), not_empty("vm_id"), not_empty("snapshot_id"),
        one_of("state", {"intended", "created", "attached", "period"}), document_problem}},
      {"runs",
       {one_of("state", {"running", "done", "failed", "busy", "interrupted"}),
        one_of("mode", {"", "full", "incremental", "full+incremental"}), time_or_nothing("started"),
        time_or_nothing("ended"), time_or_nothing("last_success"), time_or_nothing("next_run")}},
      {"tasks",
       {not_empty("id"), one_of("state", {"begun", "over"}), time_or_nothing("started"),
        time_or_nothing("ended")}},
      {"task_reports", {not_empty("task")}},
  };
}

}  // namespace

void check_state_dump(const StateDump& dump, const std::string& name) {
  if (dump.installation_id.empty()) {
    throw Error(ErrorKind::usage, "has no installation_id: nothing was ever made with that state",
                name, "leave the new state empty: hamal makes an id of its own");
  }
  const auto by_table = rules();
  for (const DumpTable& table : dump_tables()) {
    const auto rows = dump.rows.find(table.name);
    for (std::size_t i = 0; rows != dump.rows.end() && i < rows->second.size(); ++i) {
      for (const Rule& rule : by_table.at(table.name)) {
        if (const std::string problem = rule(Row(table, rows->second[i])); !problem.empty()) {
          throw Error(ErrorKind::usage, fmt::format("tables.{}[{}]: {}", table.name, i, problem),
                      name, "it was not written so by hamal-period state export");
        }
      }
    }
  }
}

std::size_t forget_foreign_plans(StateDump& dump, const fs::path& plans) {
  std::size_t forgotten = 0;
  for (const DumpTable& table : dump_tables()) {
    const auto column = std::find_if(table.columns.begin(), table.columns.end(), [](const auto& c) {
      return std::string_view(c.name) == "plan_path";
    });
    const auto rows = dump.rows.find(table.name);
    if (column == table.columns.end() || rows == dump.rows.end()) {
      continue;
    }
    for (DumpRow& row : rows->second) {
      auto& plan =
          std::get<std::string>(row.at(static_cast<std::size_t>(column - table.columns.begin())));
      if (!plan.empty() && !lies_below(plan, plans)) {
        plan.clear();
        ++forgotten;
      }
    }
  }
  return forgotten;
}

}  // namespace hamal
