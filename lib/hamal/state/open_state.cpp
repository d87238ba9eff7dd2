// Which database the state is in.
#include <filesystem>

#include "hamal/state/migrate.hpp"
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

}  // namespace

std::unique_ptr<State> open_state(const std::string& connection, const std::string& password) {
  if (is_postgresql(connection)) {
    return make_state(open_postgresql(connection, password));
  }
  require_sqlite(connection);
  const std::filesystem::path path = path_of(connection);
  make_private_directories(path.parent_path());
  return make_state(open_sqlite(path.string()));
}

std::unique_ptr<State> open_state(const Config& config) {
  return open_state(config.state_connection(), password_of(config));
}

StateOutlook look_at_state(const Config& config) {
  const std::string connection = config.state_connection();
  StateOutlook outlook{.schema = 0, .known = k_schema_version};
  if (is_postgresql(connection)) {
    outlook.schema = schema_of(*open_postgresql(connection, password_of(config)));
    return outlook;
  }
  require_sqlite(connection);
  const std::filesystem::path path = path_of(connection);
  if (std::filesystem::exists(path)) {
    outlook.schema = schema_of(*open_sqlite(path.string(), SqliteAccess::read_only));
  }
  return outlook;
}

}  // namespace hamal
