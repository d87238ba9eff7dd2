#include "hamal/state/moved_state.hpp"

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

const std::string k_moved = "moved";

std::string moved_at(Database& database) {
  std::string when;
  database.sql() << "SELECT value FROM meta WHERE key = :k", soci::use(k_moved), soci::into(when);
  return database.sql().got_data() ? when : std::string();
}

void erase(Database& database) {
  database.sql() << "DELETE FROM meta WHERE key = :k", soci::use(k_moved);
}

}  // namespace

void require_not_moved(Database& database) {
  std::string when;
  database.run([&] { when = moved_at(database); });
  if (!when.empty()) {
    throw Error(ErrorKind::usage, "the state was moved to another database at " + when,
                database.name(),
                "set [database] connection to where it went; if it never arrived there: "
                "hamal-period state reopen");
  }
}

bool mark_moved(Database& database, const std::string& when) {
  bool marked = false;
  database.transact("meta", [&] {
    const std::string before = moved_at(database);
    // Ours, when the connection broke after the commit.
    marked = before.empty() || (database.repeated() && before == when);
    if (before.empty()) {
      database.sql() << "INSERT INTO meta (key, value) VALUES (:k, :v)", soci::use(k_moved),
          soci::use(when);
    }
  });
  return marked;
}

bool forget_move(Database& database) {
  bool was = false;
  database.transact("meta", [&] {
    was = was || !moved_at(database).empty();
    erase(database);
  });
  return was;
}

}  // namespace hamal
