#include "hamal/state/sql_state_dump.hpp"

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

constexpr const char* k_installation = "installation_id";
constexpr const char* k_flag_key = "disk_flag_key";
// Nobody else may take part: every transaction that migrates waits for this one, too.
constexpr const char* k_everything = "schema";

std::string table_names() {
  std::string list;
  for (const DumpTable& table : dump_tables()) {
    list += (list.empty() ? "" : ", ") + std::string(table.name);
  }
  return list;
}

std::string columns_of(const DumpTable& table, const char* before) {
  std::string list;
  for (const DumpColumn& column : table.columns) {
    list += (list.empty() ? "" : ", ") + std::string(before) + column.name;
  }
  return list;
}

std::string meta(soci::session& sql, const std::string& key) {
  std::string value;
  sql << "SELECT value FROM meta WHERE key = :k", soci::use(key), soci::into(value);
  return sql.got_data() ? value : std::string();
}

std::int64_t number_at(const soci::row& row, std::size_t column) {
  return row.get_properties(column).get_data_type() == soci::dt_integer
             ? row.get<int>(column)
             : row.get<long long>(column);
}

std::vector<DumpRow> rows_of(soci::session& sql, const DumpTable& table) {
  std::vector<DumpRow> all;
  const soci::rowset<soci::row> rows =
      (sql.prepare << "SELECT " + columns_of(table, "") + " FROM " + table.name + " ORDER BY " +
                          columns_of(table, ""));
  for (const soci::row& row : rows) {
    DumpRow& made = all.emplace_back();
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      if (table.columns[i].kind == DumpColumn::Kind::text) {
        made.emplace_back(row.get<std::string>(i));
      } else {
        made.emplace_back(number_at(row, i));
      }
    }
  }
  return all;
}

void insert(soci::session& sql, const DumpTable& table, const DumpRow& row) {
  soci::statement statement(sql);
  std::vector<long long> numbers(row.size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (const auto* text = std::get_if<std::string>(&row[i])) {
      statement.exchange(soci::use(*text, table.columns[i].name));
    } else {
      numbers[i] = std::get<std::int64_t>(row[i]);
      statement.exchange(soci::use(numbers[i], table.columns[i].name));
    }
  }
  statement.alloc();
  statement.prepare("INSERT INTO " + std::string(table.name) + " (" + columns_of(table, "") +
                    ") VALUES (" + columns_of(table, ":") + ")");
  statement.define_and_bind();
  statement.execute(true);
}

void replace_meta(soci::session& sql, const std::string& key, const std::string& value) {
  sql << "DELETE FROM meta WHERE key = :k", soci::use(key);
  if (!value.empty()) {
    sql << "INSERT INTO meta (key, value) VALUES (:k, :v)", soci::use(key), soci::use(value);
  }
}

void require_empty(Database& database) {
  for (const DumpTable& table : dump_tables()) {
    long long rows = 0;
    database.sql() << "SELECT CAST(COUNT(*) AS BIGINT) FROM " + std::string(table.name),
        soci::into(rows);
    if (rows != 0) {
      throw Error(ErrorKind::failed,
                  "the state is not empty: its table " + std::string(table.name) + " has " +
                      std::to_string(rows) + " rows",
                  database.name(), "import into a new database");
    }
  }
}

// Snapshots and bitmaps carry the mark of an installation: what this one has made under its own
// would be nobody's.
void require_same_installation(Database& database, const StateDump& dump) {
  const std::string known = meta(database.sql(), k_installation);
  if (!known.empty() && known != dump.installation_id) {
    throw Error(
        ErrorKind::failed,
        "the state belongs to another installation: " + known + ", and not " + dump.installation_id,
        database.name(), "import into a new database, that no tool but this one has worked with");
  }
}

}  // namespace

StateDump dump_rows(Database& database) {
  StateDump dump;
  database.transact(k_everything, [&] {
    database.freeze(table_names());
    dump = {};
    dump.installation_id = meta(database.sql(), k_installation);
    dump.disk_flag_key = meta(database.sql(), k_flag_key);
    for (const DumpTable& table : dump_tables()) {
      dump.rows[table.name] = rows_of(database.sql(), table);
    }
  });
  return dump;
}

void load_rows(Database& database, const StateDump& dump) {
  database.transact(k_everything, [&] {
    database.freeze(table_names());
    require_empty(database);
    require_same_installation(database, dump);
    replace_meta(database.sql(), k_installation, dump.installation_id);
    replace_meta(database.sql(), k_flag_key, dump.disk_flag_key);
    for (const DumpTable& table : dump_tables()) {
      const auto rows = dump.rows.find(table.name);
      for (std::size_t i = 0; rows != dump.rows.end() && i < rows->second.size(); ++i) {
        insert(database.sql(), table, rows->second[i]);
      }
    }
  });
}

}  // namespace hamal
