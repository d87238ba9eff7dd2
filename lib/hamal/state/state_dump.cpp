#include "hamal/state/state_dump.hpp"

#include <nlohmann/json.hpp>

#include "hamal/json/strict_json.hpp"

namespace hamal {
namespace {

constexpr const char* k_format = "hamal-state";
constexpr std::uint64_t k_version = 1;
constexpr std::size_t k_uuid_length = 36;
constexpr std::size_t k_key_length = 64;

constexpr DumpColumn text(const char* name) {
  return {name, DumpColumn::Kind::text};
}
constexpr DumpColumn number(const char* name) {
  return {name, DumpColumn::Kind::number};
}

std::string line_of(const DumpTable& table, const DumpRow& row) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    std::visit([&](const auto& value) { object[table.columns[i].name] = value; }, row.at(i));
  }
  try {
    return object.dump();
  } catch (const nlohmann::json::type_error&) {
    throw Error(ErrorKind::failed, "a name is no UTF-8, which JSON demands",
                std::string("table ") + table.name,
                "rename the file; hamal-sync checkpoint list shows it");
  }
}

DumpRow row_of(const DumpTable& table, const nlohmann::json& object, const Place& place,
               const std::string& prefix) {
  if (!object.is_object()) {
    place.refuse(prefix + " is not an object");
  }
  const Fields fields(object, place, prefix + ".");
  DumpRow row;
  for (const DumpColumn& column : table.columns) {
    if (column.kind == DumpColumn::Kind::text) {
      row.emplace_back(fields.text(column.name));
    } else {
      row.emplace_back(static_cast<std::int64_t>(fields.number(column.name)));
    }
  }
  if (object.size() != row.size()) {
    place.refuse(prefix + " has fields that this hamal does not know", "update hamal");
  }
  return row;
}

std::string key_of(const Fields& fields, const char* name, std::size_t length,
                   std::string_view characters) {
  std::string key = fields.text(name);
  if (!key.empty() &&
      (key.size() != length || key.find_first_not_of(characters) != std::string::npos)) {
    fields.refuse(name, "is not one");
  }
  return key;
}

}  // namespace

const std::vector<DumpTable>& dump_tables() {
  static const std::vector<DumpTable> k_tables{
      {"checkpoints",
       {text("platform"), text("vm_id"), text("disk_id"), text("target"), text("vm_name"),
        text("change_id"), text("snapshot_id"), number("generation"), number("size"),
        text("committed"), text("target_uri"), text("disk_flag"), text("released"), text("proxy")}},
      {"in_progress",
       {text("platform"), text("vm_id"), text("disk_id"), text("target"), text("mode"),
        text("base_change_id"), text("change_id"), text("snapshot_id"), text("plan_path"),
        text("started"), number("target_created"), text("finished"), text("restore_path"),
        text("proxy")}},
      {"snapshots",
       {text("platform"), text("snapshot_id"), text("vm_id"), text("state"), text("created"),
        text("document")}},
      {"runs",
       {text("job"), text("platform"), text("vm_id"), text("vm_name"), text("state"),
        text("run_id"), text("started"), text("ended"), text("last_success"), text("mode"),
        number("bytes"), number("duration_ms"), number("failures"), text("last_error"),
        text("next_run")}},
      {"tasks",
       {text("proxy"), text("id"), text("state"), text("job"), text("platform"), text("vm_id"),
        text("vm_name"), text("run_id"), text("started"), text("ended")}},
      {"task_reports",
       {text("proxy"), number("number"), text("task"), text("report_key"), text("body")}},
  };
  return k_tables;
}

std::string to_json(const StateDump& dump) {
  const nlohmann::ordered_json head{{"format", k_format},
                                    {"version", k_version},
                                    {"installation_id", dump.installation_id},
                                    {"disk_flag_key", dump.disk_flag_key}};
  std::string json = head.dump();
  json.pop_back();
  json += ",\n\"tables\":{";
  const char* between_tables = "\n";
  for (const DumpTable& table : dump_tables()) {
    json += std::string(between_tables) + "\"" + table.name + "\":[";
    between_tables = ",\n";
    const auto rows = dump.rows.find(table.name);
    const char* between_rows = "\n";
    for (std::size_t i = 0; rows != dump.rows.end() && i < rows->second.size(); ++i) {
      json += between_rows + line_of(table, rows->second[i]);
      between_rows = ",\n";
    }
    json += "]";
  }
  return json + "}}\n";
}

StateDump parse_state_dump(std::string_view json, const std::string& name) {
  const Place place{name, ErrorKind::usage};
  const nlohmann::json document = parse_strict(json, place);
  if (!document.is_object()) {
    place.refuse("is not a state", "expected the output of: hamal-period state export");
  }
  const Fields fields(document, place);
  check_format(fields, k_format, k_version, place);
  StateDump dump;
  dump.installation_id = key_of(fields, "installation_id", k_uuid_length, "0123456789abcdef-");
  dump.disk_flag_key = key_of(fields, "disk_flag_key", k_key_length, "0123456789abcdef");
  const nlohmann::json& tables = fields.require_object("tables");
  for (const DumpTable& table : dump_tables()) {
    const auto found = tables.find(table.name);
    if (found == tables.end() || !found->is_array()) {
      place.refuse(std::string("tables.") + table.name + " is missing or not an array");
    }
    std::vector<DumpRow>& rows = dump.rows[table.name];
    for (const nlohmann::json& object : *found) {
      rows.push_back(
          row_of(table, object, place,
                 std::string("tables.") + table.name + "[" + std::to_string(rows.size()) + "]"));
    }
  }
  if (tables.size() != dump_tables().size()) {
    place.refuse("has tables that this hamal does not know", "update hamal");
  }
  return dump;
}

}  // namespace hamal
