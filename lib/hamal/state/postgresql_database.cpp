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
#include <array>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "hamal/state/database.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"

namespace hamal {
namespace {

using Parameter = std::pair<std::string, std::string>;
using Parameters = std::vector<Parameter>;

constexpr auto k_outage_max = std::chrono::seconds(20);
constexpr auto k_first_pause = std::chrono::milliseconds(100);
constexpr auto k_longest_pause = std::chrono::milliseconds(2000);

// What an operator may override in the URL.
constexpr std::pair<const char*, const char*> k_defaults[] = {
    {"connect_timeout", "10"},
    {"application_name", "hamal"},
    {"tcp_user_timeout", "20000"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"target_session_attrs", "read-write"},
};

constexpr const char* k_create_hint =
    "its owner must open it first, or: GRANT CREATE ON SCHEMA public, or make the database with "
    "OWNER";

Parameters parse_url(const std::string& url) {
  char* problem = nullptr;
  PQconninfoOption* const options = ::PQconninfoParse(url.c_str(), &problem);
  if (options == nullptr) {
    std::string what = problem == nullptr ? "out of memory" : std::string(trim(problem));
    ::PQfreemem(problem);
    // libpq quotes the whole URL in some of its messages, and there may be a password in it.
    if (what.find(url) != std::string::npos) {
      what = "it is no URL that libpq understands";
    }
    throw Error(ErrorKind::usage, "not a connection to PostgreSQL: " + what,
                "[database] connection",
                "write postgresql://USER@HOST/DATABASE?sslmode=verify-full");
  }
  Parameters parameters;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    if (option->val != nullptr) {
      parameters.emplace_back(option->keyword, option->val);
    }
  }
  ::PQconninfoFree(options);
  return parameters;
}

std::string get(const Parameters& parameters, const std::string& keyword) {
  const auto found =
      std::find_if(parameters.begin(), parameters.end(),
                   [&](const Parameter& parameter) { return parameter.first == keyword; });
  return found == parameters.end() ? std::string() : found->second;
}

void set_default(Parameters& parameters, const std::string& keyword, const std::string& value) {
  if (get(parameters, keyword).empty()) {
    parameters.emplace_back(keyword, value);
  }
}

bool is_local(const std::string& host) {
  return host.empty() || host.starts_with('/') || host == "localhost" || host.starts_with("127.") ||
         host == "::1";
}

bool is_all_local(const Parameters& parameters) {
  const std::string given = get(parameters, "hostaddr");
  const std::string hosts = (given.empty() ? get(parameters, "host") : given) + ",";
  for (std::size_t at = 0; at < hosts.size();) {
    const std::size_t end = hosts.find(',', at);
    if (!is_local(hosts.substr(at, end - at))) {
      return false;
    }
    at = end + 1;
  }
  return true;
}

// keyword='value' for every parameter: SOCI takes one string.
std::string connection_string(const Parameters& parameters) {
  std::string text;
  for (const auto& [keyword, value] : parameters) {
    text += text.empty() ? "" : " ";
    text += keyword;
    text += "='";
    for (const char c : value) {
      text += c == '\'' || c == '\\' ? "\\" : "";
      text += c;
    }
    text += "'";
  }
  return text;
}

std::string name_of(const Parameters& parameters) {
  const std::string user = get(parameters, "user");
  const std::string host = get(parameters, "host");
  const std::string port = get(parameters, "port");
  return "postgresql://" + (user.empty() ? "" : user + "@") + host +
         (port.empty() ? "" : ":" + port) + "/" + get(parameters, "dbname");
}

// Messages of libpq have several lines.
std::string one_line(std::string text) {
  constexpr std::string_view k_soci = "Cannot establish connection to the database.";
  if (text.starts_with(k_soci)) {
    text.erase(0, k_soci.size());
  }
  std::string line;
  for (const char c : std::string(trim(text))) {
    if (c != '\n' && c != '\t') {
      line += c;
    } else if (!line.ends_with(' ')) {
      line += ' ';
    }
  }
  return escape_control(line);
}

// There is no SQLSTATE of a connection that was not made: what is known by its words is refused for
// good, everything else may pass.
Error why_no_connection(const std::string& text, const std::string& name) {
  struct Known {
    const char* words;
    const char* problem;
    const char* hint;
  };
  static constexpr Known k_refused[] = {
      {"password authentication failed", "the state database refuses the password",
       "see [database] password and the role's password"},
      {"no password supplied", "the state database wants a password",
       "set [database] password = file:PATH"},
      {"no pg_hba.conf entry", "the state database does not let this host in",
       "add it to the server's pg_hba.conf"},
      {"role \"", "the state database does not let this user in",
       "CREATE ROLE, or another user in [database] connection"},
      {"database \"", "there is no such state database",
       "CREATE DATABASE on the server, or another name in [database] connection"},
      {"certificate", "the state database's certificate is not accepted",
       "see sslmode, sslrootcert and sslcert in [database] connection"},
      {"server does not support SSL", "the state database's server does not speak TLS",
       "set it up there, or say sslmode=disable in [database] connection"},
  };
  const std::string line = one_line(text);
  for (const Known& known : k_refused) {
    if (line.find(known.words) != std::string::npos) {
      return {ErrorKind::usage, std::string(known.problem) + ": " + line, name, known.hint};
    }
  }
  if (line.find("session is read-only") != std::string::npos ||
      line.find("hot standby") != std::string::npos) {
    return {ErrorKind::failed, "the state database takes no writes: " + line, name,
            "it is a standby: name the primary, or all hosts, in [database] connection",
            Transience::transient};
  }
  return {ErrorKind::failed, "the state database cannot be reached: " + line, name,
          "see whether the server runs and the network lets us through", Transience::transient};
}

Error meaning_of(const std::string& state, const std::string& text, const std::string& name) {
  const std::string line = one_line(text);
  const std::string kind = state.substr(0, 2);
  if (state == "55P03") {  // lock_not_available
    return {ErrorKind::failed, "the state database is locked by another process", name,
            "it was busy for " + std::to_string(k_busy_seconds) + " s; try again",
            Transience::transient};
  }
  if (state == "25006") {  // read_only_sql_transaction
    return {ErrorKind::failed, "the state database takes no writes: " + line, name,
            "it is a standby, or default_transaction_read_only is on; name the primary",
            Transience::transient};
  }
  if (state == "42501") {  // insufficient_privilege
    return {ErrorKind::usage, "the state database does not let this role do that: " + line, name,
            k_create_hint};
  }
  if (state == "22021" || state == "22P05") {
    return {ErrorKind::failed, "a name is no UTF-8, which PostgreSQL demands: " + line, name,
            "rename the file, or keep the state in SQLite"};
  }
  if (state == "53100") {
    return {ErrorKind::failed, "no space left for the state database", name,
            "free space on its server, then run again", Transience::transient};
  }
  if (kind == "XX" || state == "58030") {
    return {ErrorKind::failed, "the state database is damaged: " + line, name,
            "see its server's log; restore it from a backup"};
  }
  if (kind == "53" || kind == "57" || kind == "58") {
    return {ErrorKind::failed, "the state database cannot work now: " + line, name,
            "see its server's log", Transience::transient};
  }
  return {ErrorKind::failed, "state database: " + line, name};
}

class PostgresqlDatabase final : public Database {
 public:
  explicit PostgresqlDatabase(Parameters parameters)
      : Database(name_of(parameters)), m_connection(connection_string(parameters)) {
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
      throw meaning_of(error.sqlstate(), error.get_error_message(), name());
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
    sql() << "SET lock_timeout = '" + std::to_string(k_busy_seconds) + "s'";
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
      throw meaning_of(state, error.get_error_message(), name());
    }
    return false;
  }

  void reconnect() {
    const auto deadline = std::chrono::steady_clock::now() + k_outage_max;
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
};

}  // namespace

std::unique_ptr<Database> open_postgresql(const std::string& url, const std::string& password) {
  Parameters parameters = parse_url(url);
  for (const auto& [keyword, value] : k_defaults) {
    set_default(parameters, keyword, value);
  }
  if (!password.empty()) {
    set_default(parameters, "password", password);
  }
  // libpq would send everything in the clear to a server that speaks no TLS.
  if (!is_all_local(parameters)) {
    set_default(parameters, "sslmode", "require");
  }
  return std::make_unique<PostgresqlDatabase>(std::move(parameters));
}

}  // namespace hamal
