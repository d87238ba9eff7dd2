#include "hamal/state/migrate.hpp"

#include <charconv>
#include <string>

#include "hamal/state/schema.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

constexpr const char* k_version_key = "schema_version";
constexpr const char* k_oldest_key = "schema_oldest_hamal";

// 0 when there is none.
int stored_number(Database& database, const std::string& key) {
  std::string text;
  database.sql() << "SELECT value FROM meta WHERE key = :k", soci::use(key), soci::into(text);
  if (!database.sql().got_data()) {
    return 0;
  }
  int number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end || number < 1) {
    throw Error(ErrorKind::failed, "the state database has schema \"" + text + "\"",
                database.name(), "it was changed by something else; restore it from a backup");
  }
  return number;
}

void store(Database& database, const std::string& key, int number) {
  const std::string value = std::to_string(number);
  database.sql() << "DELETE FROM meta WHERE key = :k", soci::use(key);
  database.sql() << "INSERT INTO meta (key, value) VALUES (:k, :v)", soci::use(key),
      soci::use(value);
}

/// False when nothing is to be done.
bool is_older(Database& database) {
  const int version = stored_number(database, k_version_key);
  if (version <= k_schema_version) {
    return version < k_schema_version;
  }
  const int oldest = stored_number(database, k_oldest_key);
  if (oldest == 0 || oldest > k_schema_version) {
    throw Error(ErrorKind::failed,
                "the state database has schema " + std::to_string(version) + ", this hamal knows " +
                    std::to_string(k_schema_version),
                database.name(), "it was written by another version: update hamal");
  }
  return false;
}

void raise(Database& database) {
  for (int step = stored_number(database, k_version_key); step < k_schema_version; ++step) {
    for (const char* statement : k_migrations[step - 1]) {
      if (statement != nullptr) {
        database.sql() << statement;
      }
    }
  }
  store(database, k_version_key, k_schema_version);
  store(database, k_oldest_key, database.shared() ? k_oldest_hamal_shared : k_oldest_hamal);
}

}  // namespace

void migrate(Database& database) {
  bool needed = true;
  // Most find nothing to do, and wait for nobody; a role without CREATE may do that.
  database.run([&] { needed = !database.has_table("meta") || is_older(database); });
  if (!needed) {
    return;
  }
  database.transact("schema", [&] {
    if (!database.has_table("meta")) {
      for (const char* statement : k_schema) {
        database.sql() << statement;
      }
      store(database, k_version_key, 1);
    }
    if (is_older(database)) {
      raise(database);
    }
  });
}

int schema_of(Database& database) {
  int version = 0;
  database.run([&] {
    if (database.has_table("meta")) {
      static_cast<void>(is_older(database));  // throws for one that is too new
      version = stored_number(database, k_version_key);
    }
  });
  return version;
}

}  // namespace hamal
