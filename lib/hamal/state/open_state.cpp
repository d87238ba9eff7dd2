// Which database the state is in.
#include <filesystem>

#include "hamal/state/sql_state.hpp"
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

}  // namespace

std::unique_ptr<State> open_state(const std::string& connection, const std::string& password) {
  if (is_postgresql(connection)) {
    return make_state(open_postgresql(connection, password));
  }
  if (!connection.starts_with(k_sqlite)) {
    throw Error(ErrorKind::usage, "neither sqlite:///PATH nor postgresql://…",
                "[database] connection", "set one of them");
  }
  const std::filesystem::path path = path_of(connection);
  make_private_directories(path.parent_path());
  return make_state(open_sqlite(path.string()));
}

std::unique_ptr<State> open_state(const Config& config) {
  const std::string connection = config.state_connection();
  std::string password;
  if (is_postgresql(connection) && config.database_password.kind != SecretReference::Kind::none) {
    password = resolve_secret(config.database_password, "[database] password");
  }
  return open_state(connection, password);
}

}  // namespace hamal
