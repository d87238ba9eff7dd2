// Which database the state is in.
#include "hamal/state/open_state.hpp"

#include <filesystem>

#include "hamal/state/file_system.hpp"
#include "hamal/state/migrate.hpp"
#include "hamal/state/moved_state.hpp"
#include "hamal/state/schema.hpp"
#include "hamal/state/sql_state.hpp"
#include "hamal/state/state_outlook.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

constexpr std::string_view k_sqlite = "sqlite://";

std::filesystem::path path_of(const std::string& connection) {
  std::filesystem::path path = connection.substr(k_sqlite.size());
  if (!path.is_absolute() || path.string().find('"') != std::string::npos) {
    throw Error(ErrorKind::usage, "not an absolute path", connection,
                "write sqlite:///var/lib/hamal/hamal.db");
  }
  return path;
}

bool is_postgresql(const std::string& connection) {
  return connection.starts_with("postgresql://");
}

void require_sqlite(const std::string& connection) {
  if (!connection.starts_with(k_sqlite)) {
    throw Error(ErrorKind::usage, "neither sqlite:///PATH nor postgresql://…",
                "[database] connection", "set one of them");
  }
}

std::string password_of(const Config& config) {
  if (is_postgresql(config.state_connection()) &&
      config.database_password.kind != SecretReference::Kind::none) {
    return resolve_secret(config.database_password, "[database] password");
  }
  return {};
}

std::unique_ptr<Database> open_database(const std::string& connection, const std::string& password,
                                        const Patience& patience) {
  if (is_postgresql(connection)) {
    return open_postgresql(connection, password, patience);
  }
  require_sqlite(connection);
  const std::filesystem::path path = path_of(connection);
  make_private_directories(path.parent_path());
  require_local(path.parent_path());
  return open_sqlite(path.string(), patience);
}

std::unique_ptr<Database> open_database(const Config& config, const Patience& patience = {}) {
  return open_database(config.state_connection(), password_of(config), patience);
}

StateOutlook outlook_of(Database& database) {
  const StateOutlook outlook{.schema = schema_of(database), .known = k_schema_version};
  if (outlook.schema != 0) {
    require_not_moved(database);
  }
  return outlook;
}

std::unique_ptr<State> usable_state(std::unique_ptr<Database> database) {
  Database& opened = *database;
  auto state = make_state(std::move(database));
  require_not_moved(opened);
  return state;
}

}  // namespace

std::unique_ptr<State> open_state(const std::string& connection, const std::string& password,
                                  const Patience& patience) {
  return usable_state(open_database(connection, password, patience));
}

std::unique_ptr<State> open_state(const Config& config, const Patience& patience) {
  return usable_state(open_database(config, patience));
}

std::unique_ptr<State> open_state(const std::string& connection, const std::string& password) {
  return open_state(connection, password, Patience());
}

std::unique_ptr<State> open_state(const Config& config) {
  return open_state(config, Patience());
}

std::unique_ptr<State> open_moved_state(const Config& config) {
  return make_state(open_database(config));
}

bool mark_state_moved(const Config& config, const std::string& when) {
  open_moved_state(config);  // the tables
  return mark_moved(*open_database(config), when);
}

bool reopen_state(const Config& config) {
  open_moved_state(config);
  return forget_move(*open_database(config));
}

StateOutlook look_at_state(const Config& config) {
  const std::string connection = config.state_connection();
  if (is_postgresql(connection)) {
    return outlook_of(*open_postgresql(connection, password_of(config), Patience()));
  }
  require_sqlite(connection);
  const std::filesystem::path path = path_of(connection);
  std::filesystem::path folder = path.parent_path();
  while (!std::filesystem::exists(folder) && folder.has_relative_path()) {
    folder = folder.parent_path();  // where it would be made
  }
  require_local(folder);
  return std::filesystem::exists(path)
             ? outlook_of(*open_sqlite(path.string(), Patience(), SqliteAccess::read_only))
             : StateOutlook{.schema = 0, .known = k_schema_version};
}

}  // namespace hamal
