#include "hamal/state/postgresql_errors.hpp"

#include "hamal/state/database.hpp"
#include "hamal/util/text.hpp"

namespace hamal {
namespace {

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

// "permission denied for table leases" → the right that is lacking. Tables are the owner's to make;
// rows are what every proxy changes.
std::string grant_for(const std::string& line) {
  constexpr std::string_view k_denied = "permission denied for ";
  const auto denied = line.find(k_denied);
  if (denied == std::string::npos) {
    return "its owner must open it first: hamal changes the tables then";  // must be owner of …
  }
  std::string what = line.substr(denied + k_denied.size());
  what.resize(std::min(what.size(), what.find_first_of(";: ", what.find(' ') + 1)));
  if (what.starts_with("table ") || what.starts_with("relation ")) {
    return "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO the role; it is "
           "not allowed on " +
           what;
  }
  if (what.starts_with("schema ")) {
    return "GRANT USAGE ON SCHEMA … TO the role; for the first start CREATE too, or let the owner "
           "of the database open it first; it is not allowed on " +
           what;
  }
  return "GRANT it to the role, or use the role that owns the database; it is not allowed on " +
         what;
}

}  // namespace

// There is no SQLSTATE of a connection that was not made: what is known by its words is refused for
// good, everything else may pass.
Error why_no_connection(const std::string& text, const std::string& name) {
  struct Known {
    const char* words;  // all of them
    const char* more;
    const char* problem;
    const char* hint;
  };
  static constexpr Known k_refused[] = {
      {"password authentication failed", "", "the state database refuses the password",
       "see [database] password and the role's password"},
      {"no password supplied", "", "the state database wants a password",
       "set [database] password = file:PATH"},
      {"no pg_hba.conf entry", "", "the state database does not let this host in",
       "add it to the server's pg_hba.conf"},
      {"role \"", "does not exist", "the state database does not know this user",
       "CREATE ROLE, or another user in [database] connection"},
      {"role \"", "is not permitted to log in", "the state database does not let this user in",
       "ALTER ROLE … LOGIN, or another user in [database] connection"},
      {"database \"", "does not exist", "there is no such state database",
       "CREATE DATABASE on the server, or another name in [database] connection"},
      {"permission denied for database \"", "", "the state database does not let this user in",
       "GRANT CONNECT ON DATABASE … TO the role"},
      {"does not match host name", "", "the state database's certificate is of another host",
       "name the host in [database] connection as the certificate does; hostaddr= says where it "
       "is"},
      {"certificate verify failed", "",
       "the state database's certificate is not by an authority that is trusted",
       "name its authority: sslrootcert=FILE in [database] connection"},
      {"certificate", "", "the state database's certificate is not accepted",
       "see sslmode, sslrootcert and sslcert in [database] connection"},
      {"server does not support SSL", "", "the state database's server does not speak TLS",
       "set it up there, or say sslmode=disable in [database] connection"},
  };
  const std::string line = one_line(text);
  for (const Known& known : k_refused) {
    if (line.find(known.words) != std::string::npos && line.find(known.more) != std::string::npos) {
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

Error meaning_of(const std::string& state, const std::string& text, const std::string& name,
                 const Patience& patience) {
  const std::string line = one_line(text);
  const std::string kind = state.substr(0, 2);
  if (state == "55P03") {  // lock_not_available
    return {ErrorKind::failed, "the state database is locked by another process", name,
            busy_hint(patience), Transience::transient};
  }
  if (state == "25006") {  // read_only_sql_transaction
    return {ErrorKind::failed, "the state database takes no writes: " + line, name,
            "it is a standby, or default_transaction_read_only is on; name the primary",
            Transience::transient};
  }
  if (state == "42501") {  // insufficient_privilege
    return {ErrorKind::usage, "the state database does not let this role do that: " + line, name,
            grant_for(line)};
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

}  // namespace hamal
