// A server that several proxies share.
//
// Transactions of one key take one advisory lock, so that reading and then changing is as safe as
// SQLite's single writer makes it, while machines do not wait for each other. A server that
// restarts or fails over costs a pause: the connection is opened again and the transaction run once
// more. The server ends a session that is idle within a transaction, so that a paused proxy holds
// no lock for long.
#include <libpq-fe.h>
#include <soci/postgresql/soci-postgresql.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "hamal/state/database.hpp"
#include "hamal/state/postgresql_errors.hpp"
#include "hamal/state/postgresql_url.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

constexpr auto k_first_pause = std::chrono::milliseconds(100);
constexpr auto k_longest_pause = std::chrono::milliseconds(2000);

class PostgresqlDatabase final : public Database {
 public:
  PostgresqlDatabase(const PostgresqlParameters& parameters, const Patience& patience)
      : Database(connection_name(parameters)),
        m_connection(connection_string(parameters)),
        m_patience(patience) {
    connect();
  }

  bool has_table(const std::string& table) override {
    int tables = 0;
    sql() << "SELECT count(*) FROM pg_catalog.pg_class WHERE oid = to_regclass(:t)",
        soci::use(table), soci::into(tables);
    return tables != 0;
  }

  // Not now(): that is when the transaction began, and it may have waited.
  const char* now_ms() const noexcept override {
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
  }

  void freeze(const std::string& tables) override {
    sql() << "LOCK TABLE " + tables + " IN SHARE ROW EXCLUSIVE MODE";
  }

  bool shared() const noexcept override { return true; }

 private:
  void connect() {
    try {
      sql().open(soci::postgresql, m_connection);
    } catch (const soci::soci_error& error) {
      throw why_no_connection(error.get_error_message(), name());
    }
    try {
      prepare_session();
    } catch (const soci::postgresql_soci_error& error) {
      throw meaning_of(error.sqlstate(), error.get_error_message(), name(), m_patience);
    } catch (const soci::soci_error& error) {
      throw why_no_connection(error.get_error_message(), name());
    }
  }

  void prepare_session() {
    std::string encoding;
    std::string durability;
    sql() << "SELECT current_setting('server_encoding'), current_setting('synchronous_commit')",
        soci::into(encoding), soci::into(durability);
    if (encoding != "UTF8") {
      throw Error(ErrorKind::usage, "the state database's encoding is " + encoding, name(),
                  "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0");
    }
    sql() << "SET client_encoding = 'UTF8'";
    // A checkpoint that a crash takes back would be behind its target.
    if (durability != "on" && durability != "remote_apply") {
      sql() << "SET synchronous_commit = on";
    }
    sql() << "SET default_transaction_isolation = 'read committed'";
    sql() << "SET lock_timeout = " + std::to_string(m_patience.lock.count());
    if (m_patience.reply.count() > 0) {
      sql() << "SET statement_timeout = " + std::to_string(m_patience.reply.count());
    }
    sql() << "SET idle_in_transaction_session_timeout = '10s'";
  }

  void begin(const std::string& key) override {
    sql() << "BEGIN";
    std::string lock = "hamal " + key;
    // In a subquery: void is no type that SOCI knows.
    sql() << "SELECT count(*) FROM (SELECT pg_advisory_xact_lock(hashtextextended(:k, 0))) AS l",
        soci::use(lock);
  }

  bool is_broken() {
    const auto* backend = static_cast<soci::postgresql_session_backend*>(sql().get_backend());
    return backend == nullptr || ::PQstatus(backend->conn_) != CONNECTION_OK;
  }

  bool recover(const soci::soci_error& error) override {
    const auto* known = dynamic_cast<const soci::postgresql_soci_error*>(&error);
    const std::string state = known == nullptr ? std::string() : known->sqlstate();
    if (is_broken()) {
      reconnect();
      return true;
    }
    if (state == "40001" || state == "40P01") {  // two transactions met: this one lost
      return true;
    }
    if (known != nullptr) {
      throw meaning_of(state, error.get_error_message(), name(), m_patience);
    }
    return false;
  }

  void reconnect() {
    const auto deadline = std::chrono::steady_clock::now() + m_patience.outage;
    for (auto pause = k_first_pause;; pause = std::min(pause * 2, k_longest_pause)) {
      try {
        sql().close();
        connect();
        return;
      } catch (const Error& error) {
        if (!error.transient() || std::chrono::steady_clock::now() + pause > deadline) {
          throw;
        }
      }
      std::this_thread::sleep_for(pause);
    }
  }

  std::string m_connection;
  const Patience m_patience;
};

}  // namespace

std::unique_ptr<Database> open_postgresql(const std::string& url, const std::string& password,
                                          const Patience& patience) {
  PostgresqlParameters parameters = postgresql_parameters(url, password);
  be_patient(parameters, patience);
  return std::make_unique<PostgresqlDatabase>(parameters, patience);
}

}  // namespace hamal
