// All that a state knows, as one JSON document: how it moves from one database to another
// (hamal-period(1), STATE).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hamal {

using DumpValue = std::variant<std::string, std::int64_t>;
/// The values of a row, in the order of DumpColumns.
using DumpRow = std::vector<DumpValue>;

struct DumpColumn {
  const char* name;
  enum class Kind { text, number } kind;  ///< numbers are not negative
};

/// A table that is moved. Leases are not: whoever held one does so in the old database.
struct DumpTable {
  const char* name;
  std::vector<DumpColumn> columns;
};
const std::vector<DumpTable>& dump_tables();

struct StateDump {
  std::string installation_id;  ///< empty: none was made yet
  std::string disk_flag_key;    ///< as above; a secret, if a small one
  std::map<std::string, std::vector<DumpRow>, std::less<>> rows;  ///< by table
  friend bool operator==(const StateDump&, const StateDump&) = default;
};

/// Format "hamal-state", version 1; a line for each row.
std::string to_json(const StateDump& dump);
/// Throws Error(usage) that names what is wrong: every table and field must be there, and no other.
StateDump parse_state_dump(std::string_view json, const std::string& name);

}  // namespace hamal
