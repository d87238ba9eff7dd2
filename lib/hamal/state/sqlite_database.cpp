// A file of this host.
#include <fcntl.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <sys/file.h>

#include <chrono>
#include <thread>

#include "hamal/state/database.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

Error meaning_of(const soci::sqlite3_soci_error& error, const std::string& path,
                 const Patience& patience) {
  const auto code = error.result() & 0xff;  // NOLINT: the primary code of an extended one
  switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorKind::failed, "the state database is locked by another process", path,
              busy_hint(patience), Transience::transient};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {ErrorKind::failed, "the state database is damaged", path,
              "restore it from a backup, or move it away: every disk is then copied in full"};
    case SQLITE_FULL:
      return {ErrorKind::failed, "no space left for the state database", path,
              "free space there, then run again"};
    case SQLITE_IOERR:  // SQLite says so too when there is no space for its journal or shared
                        // memory
      return {ErrorKind::failed, std::string("the state database cannot be used: ") + error.what(),
              path, "see whether its file system has space left (df), or its disk fails"};
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return {ErrorKind::failed,
              std::string("the state database cannot be written: ") + error.what(), path,
              "check owner and mode, and the user this runs as"};
    default:
      return {ErrorKind::failed, std::string("state database: ") + error.what(), path};
  }
}

class SqliteDatabase final : public Database {
 public:
  SqliteDatabase(const std::string& path, const Patience& patience, SqliteAccess access)
      : Database(path), m_patience(patience) {
    if (access == SqliteAccess::read_only) {
      run([&] {
        sql().open(soci::sqlite3, "db=\"" + path + "\" readonly=true");
        sql() << "PRAGMA busy_timeout = " + std::to_string(m_patience.lock.count());
      });
      return;
    }
    // SQLite creates files by the umask; its journals inherit the mode of the database.
    open_file(path, O_RDWR | O_CREAT, 0600);
    // Switching a new database to WAL ignores the busy timeout: the tools of a first pipe open it
    // at once.
    const UniqueFd opening = open_file(path + ".lock", O_RDWR | O_CREAT, 0600);
    lock_opening(opening.get());
    run([&] {
      sql().open(soci::sqlite3, "db=\"" + path + "\"");
      sql() << "PRAGMA busy_timeout = " + std::to_string(m_patience.lock.count());
      // One flush per transaction instead of three; FULL flushes it before the commit returns.
      sql() << "PRAGMA journal_mode = WAL";
      sql() << "PRAGMA synchronous = FULL";
    });
  }

  bool has_table(const std::string& table) override {
    int tables = 0;
    sql() << "SELECT count(*) FROM sqlite_master WHERE name = :t", soci::use(table),
        soci::into(tables);
    return tables != 0;
  }

  // SOCI reads an expression's type from its value: an integer of 64 bits needs the cast.
  const char* now_ms() const noexcept override {
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS BIGINT)";
  }

  void freeze(const std::string& /*tables*/) override {}  // every transaction does

  bool shared() const noexcept override { return false; }

 private:
  // IMMEDIATE takes the write lock first: two processes that read and then write wait for each
  // other instead of failing half-way.
  void begin(const std::string& /*key*/) override { sql() << "BEGIN IMMEDIATE"; }

  bool recover(const soci::soci_error& error) override {
    if (const auto* known = dynamic_cast<const soci::sqlite3_soci_error*>(&error)) {
      throw meaning_of(*known, name(), m_patience);
    }
    return false;
  }

  void lock_opening(int fd) const {
    const auto deadline = std::chrono::steady_clock::now() + m_patience.lock;
    while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (std::chrono::steady_clock::now() > deadline) {
        throw Error(ErrorKind::failed,
                    "another process has been opening the state database for long", name(),
                    busy_hint(m_patience), Transience::transient);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  const Patience m_patience;
};

}  // namespace

std::unique_ptr<Database> open_sqlite(const std::string& path, const Patience& patience,
                                      SqliteAccess access) {
  return std::make_unique<SqliteDatabase>(path, patience, access);
}

}  // namespace hamal
