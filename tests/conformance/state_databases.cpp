#include "state_databases.hpp"

#include <libpq-fe.h>
#include <sqlite3.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "hamal/state/schema.hpp"
#include "servers.hpp"

namespace hamal::testing {
namespace {

constexpr int k_start_tries = 3000;  // a minute

class Postgresql {
 public:
  Postgresql()
      : m_server({HAMAL_SOURCE_DIR "/tests/lab/postgresql.sh", m_scratch.path().string()},
                 m_scratch.file(".s.PGSQL.5432")) {
    // It listens before it lets anybody in.
    const std::string url = "postgresql://postgres@/postgres?host=" + directory();
    for (int tries = 0; ::PQping(url.c_str()) != PQPING_OK; ++tries) {
      if (tries == k_start_tries) {
        throw std::runtime_error("PostgreSQL does not start");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  std::string directory() const { return m_scratch.path().string(); }

  static Postgresql& of_this_process() {
    static Postgresql server;
    return server;
  }

 private:
  ScratchDirectory m_scratch;
  Server m_server;
};

void execute(const std::string& url, const std::string& statement) {
  PGconn* const connection = ::PQconnectdb(url.c_str());
  PGresult* const result = ::PQexec(connection, statement.c_str());
  const ExecStatusType status = ::PQresultStatus(result);
  const std::string problem = ::PQerrorMessage(connection);
  ::PQclear(result);
  ::PQfinish(connection);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    throw std::runtime_error(statement + ": " + problem);
  }
}

std::shared_ptr<void> begin(const std::string& url, const std::string& statement) {
  const std::shared_ptr<PGconn> connection(::PQconnectdb(url.c_str()), ::PQfinish);
  for (const std::string& one : {std::string("BEGIN"), statement}) {
    PGresult* const result = ::PQexec(connection.get(), one.c_str());
    const ExecStatusType status = ::PQresultStatus(result);
    ::PQclear(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
      throw std::runtime_error(one + ": " + ::PQerrorMessage(connection.get()));
    }
  }
  return connection;
}

class SqliteFile final : public StateDatabase {
 public:
  std::string connection() const override { return "sqlite://" + path(); }
  void sql(const std::string& statement) const override {
    std::filesystem::create_directories(std::filesystem::path(path()).parent_path());
    sqlite3* database = nullptr;
    sqlite3_open(path().c_str(), &database);
    const int status = sqlite3_exec(database, statement.c_str(), nullptr, nullptr, nullptr);
    const std::string problem = sqlite3_errmsg(database);
    sqlite3_close(database);
    if (status != SQLITE_OK) {
      throw std::runtime_error(statement + ": " + problem);
    }
  }
  std::shared_ptr<void> hold(const std::string& statement) const override {
    sqlite3* opened = nullptr;
    sqlite3_open(path().c_str(), &opened);
    const std::shared_ptr<sqlite3> database(opened, sqlite3_close);
    if (sqlite3_exec(opened, ("BEGIN IMMEDIATE; " + statement).c_str(), nullptr, nullptr,
                     nullptr) != SQLITE_OK) {
      throw std::runtime_error(statement + ": " + sqlite3_errmsg(opened));
    }
    return database;
  }

 private:
  std::string path() const { return m_scratch.file("lib/hamal.db"); }
  ScratchDirectory m_scratch;
};

// A schema of its own in the server's one database.
class PostgresqlSchema final : public StateDatabase {
 public:
  PostgresqlSchema() {
    static std::atomic<int> counter{0};
    m_schema = "t" + std::to_string(++counter);
    execute(url("hamal:hamal-secret"), "CREATE SCHEMA " + m_schema);
  }
  std::string connection() const override { return url("hamal"); }
  std::string password() const override { return "hamal-secret"; }
  void sql(const std::string& statement) const override {
    execute(url("hamal:hamal-secret"), statement);
  }
  std::shared_ptr<void> hold(const std::string& statement) const override {
    return begin(url("hamal:hamal-secret"), statement);
  }

 private:
  std::string url(const std::string& user) const {
    return "postgresql://" + user + "@/hamal?host=" + postgresql_directory() +
           "&options=-csearch_path%3D" + m_schema;
  }
  std::string m_schema;
};

bool is_tomorrow(StateKind kind) {
  return kind == StateKind::sqlite_tomorrow || kind == StateKind::postgresql_tomorrow;
}

}  // namespace

std::string to_string(StateKind kind) {
  switch (kind) {
    case StateKind::sqlite:
      return "sqlite";
    case StateKind::sqlite_tomorrow:
      return "sqlite_tomorrow";
    case StateKind::postgresql:
      return "postgresql";
    case StateKind::postgresql_tomorrow:
      return "postgresql_tomorrow";
  }
  return {};
}

std::string why_not(StateKind kind) {
  const bool needs_server = kind == StateKind::postgresql || kind == StateKind::postgresql_tomorrow;
  return needs_server && !std::filesystem::exists("/usr/lib/postgresql")
             ? "the package postgresql is not installed"
             : "";
}

std::unique_ptr<StateDatabase> make_empty_database(StateKind kind) {
  if (kind == StateKind::sqlite || kind == StateKind::sqlite_tomorrow) {
    return std::make_unique<SqliteFile>();
  }
  return std::make_unique<PostgresqlSchema>();
}

std::unique_ptr<StateDatabase> make_database(StateKind kind) {
  auto database = make_empty_database(kind);
  if (is_tomorrow(kind)) {
    database->open();
    database->sql("CREATE TABLE of_tomorrow (key TEXT PRIMARY KEY)");
    for (const char* table : {"checkpoints", "in_progress", "snapshots", "runs", "leases"}) {
      database->sql("ALTER TABLE " + std::string(table) +
                    " ADD COLUMN of_tomorrow TEXT NOT NULL DEFAULT ''");
    }
    database->sql("UPDATE meta SET value = '" + std::to_string(k_schema_version + 1) +
                  "' WHERE key = 'schema_version'");
  }
  return database;
}

std::string postgresql_directory() {
  return Postgresql::of_this_process().directory();
}

void postgresql_sql(const std::string& statement) {
  execute("postgresql://postgres@/hamal?host=" + postgresql_directory(), statement);
}

}  // namespace hamal::testing
