// One connection to the database under the state, and all in which SQLite and PostgreSQL differ:
// how it is opened, how transactions wait for each other, what an error means, what a broken
// connection costs.
#pragma once
#include <soci/soci.h>

#include <functional>
#include <memory>
#include <string>

#include "hamal/state/patience.hpp"

namespace hamal {

/// Not thread-safe. Everything throws hamal::Error alone.
class Database {
 public:
  virtual ~Database() = default;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  soci::session& sql() noexcept { return m_sql; }
  /// As messages name it; never with a password.
  const std::string& name() const noexcept { return m_name; }

  /// Runs statements that change nothing. The body may run again when the connection broke.
  void run(const std::function<void()>& body);
  /// One transaction, durable on return. `key` says what it reads and then changes: transactions of
  /// one key wait for each other instead of failing half-way (in SQLite all do). The body may run
  /// again when the connection broke; then repeated() is true, and what it did before may be there.
  void transact(const std::string& key, const std::function<void()>& body);
  bool repeated() const noexcept { return m_repeated; }

  virtual bool has_table(const std::string& table) = 0;
  /// An expression of SQL: this moment by the database's clock, in milliseconds since 1970.
  virtual const char* now_ms() const noexcept = 0;
  /// Within a transaction: nobody else changes these tables ("a, b") before it ends.
  virtual void freeze(const std::string& tables) = 0;
  /// Several hosts may use it at once: machines are leased (state/lease.hpp).
  virtual bool shared() const noexcept = 0;

 protected:
  explicit Database(std::string name) : m_name(std::move(name)) {}

  virtual void begin(const std::string& key) = 0;
  /// What became of a failed attempt: true when it is worth another (the connection was opened
  /// again). Else throws what the error means.
  virtual bool recover(const soci::soci_error& error) = 0;

 private:
  void attempt(const std::function<void()>& body);

  std::string m_name;
  soci::session m_sql;
  bool m_repeated = false;
};

/// What an operator does about another process that was waited for in vain.
std::string busy_hint(const Patience& patience);

enum class SqliteAccess { read_write, read_only };
/// Opens or creates the file at `path`, 0600. For reading it has to be there.
std::unique_ptr<Database> open_sqlite(const std::string& path, const Patience& patience,
                                      SqliteAccess access = SqliteAccess::read_write);
/// `url` is libpq's, `password` is used when the URL has none. Throws Error(usage) for what cannot
/// be a connection or is refused for good, a transient Error while the server cannot be reached or
/// takes no writes.
std::unique_ptr<Database> open_postgresql(const std::string& url, const std::string& password,
                                          const Patience& patience);

}  // namespace hamal
