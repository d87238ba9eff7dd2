// SQLite, as far as the record cache needs it: statements that are prepared once, and two kinds of
// errors. Private to this folder.
#pragma once
#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace hamal::repository {

/// The file is not a database, not ours, or damaged: to be begun anew.
class DatabaseDamaged : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The database is locked, the disk is full, …: what was asked for was not done.
class DatabaseFailed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// One connection, used by one thread at a time.
class Database {
 public:
  explicit Database(const std::filesystem::path& path);
  /// Statements without results.
  void execute(const char* sql);
  /// One number, 0 when there is no row.
  std::int64_t number(const char* sql);
  sqlite3* handle() const noexcept { return m_handle.get(); }
  /// Throws what the result code means.
  [[noreturn]] void fail(int code) const;

 private:
  struct Close {
    void operator()(sqlite3* handle) const noexcept { sqlite3_close_v2(handle); }
  };
  std::unique_ptr<sqlite3, Close> m_handle;
};

/// A prepared statement; what is bound must live until the reset.
class Statement {
 public:
  Statement(Database& database, const char* sql);
  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, std::span<const std::byte> blob);
  Statement& bind(int index, std::string_view text);
  /// False at the end, and then it is reset.
  bool step();
  /// Steps to the end.
  void run();
  void reset() noexcept { sqlite3_reset(m_statement.get()); }
  std::int64_t number(int column) const;
  std::span<const std::byte> blob(int column) const;

 private:
  void check(int code) const;

  struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
  };
  Database* m_database;
  std::unique_ptr<sqlite3_stmt, Finalize> m_statement;
};

/// Rolled back unless committed.
class Transaction {
 public:
  /// Takes the write lock now: two that read and then write would wait for each other.
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database& m_database;
  bool m_open = true;
};

}  // namespace hamal::repository
