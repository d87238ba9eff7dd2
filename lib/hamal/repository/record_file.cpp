#include "hamal/repository/record_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <map>

#include "hamal/repository/little_endian.hpp"

namespace hamal::repository {
namespace {

constexpr std::int64_t k_application = 0x484d5243;  // "HMRC"
constexpr std::int64_t k_version = 1;
constexpr std::size_t k_fewest_packs = 64;  // not worth the trouble below

constexpr const char* k_tables = R"(
CREATE TABLE repository(id TEXT NOT NULL);
CREATE TABLE layers(key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE packs(id INTEGER PRIMARY KEY, session BLOB NOT NULL, number INTEGER NOT NULL,
                   UNIQUE(session, number));
CREATE TABLE records(id BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL,
                     length INTEGER NOT NULL, plain INTEGER NOT NULL, sum INTEGER NOT NULL)
  WITHOUT ROWID;
)";

/// 31 bits, so that it is stored in four bytes.
std::int64_t checksum(const CachedRecord& record) {
  constexpr std::size_t k_ids = sizeof(RecordId) + sizeof(SessionId);
  std::array<std::byte, k_ids + 20> bytes{};
  const auto rest = std::copy(record.id.begin(), record.id.end(), bytes.begin());
  std::copy(record.place.pack.session.begin(), record.place.pack.session.end(), rest);
  const std::span<std::byte> numbers = std::span(bytes).subspan(k_ids);
  put_number(numbers, record.place.pack.number);
  put_number(numbers.subspan(4), record.place.offset);
  put_number(numbers.subspan(12), record.place.length);
  put_number(numbers.subspan(16), record.plain);
  return static_cast<std::int64_t>(XXH3_64bits(bytes.data(), bytes.size()) >> 33U);
}

PackName pack_name(const Statement& row, int column) {
  PackName pack;
  const auto session = row.blob(column);
  if (session.size() != pack.session.size()) {
    throw DatabaseDamaged("a pack has no name");
  }
  std::copy(session.begin(), session.end(), pack.session.begin());
  pack.number = static_cast<std::uint32_t>(row.number(column + 1));
  return pack;
}

void make_tables(Database& database, const std::string& repository_id) {
  Transaction transaction(database);
  database.execute(k_tables);
  Statement(database, "INSERT INTO repository VALUES(?1)").bind(1, repository_id).run();
  database.execute(fmt::format("PRAGMA application_id = {}", k_application).c_str());
  database.execute(fmt::format("PRAGMA user_version = {}", k_version).c_str());
  transaction.commit();
}

void check_tables(Database& database, const std::string& repository_id) {
  if (database.number("PRAGMA application_id") != k_application ||
      database.number("PRAGMA user_version") != k_version) {
    throw DatabaseDamaged("it is not of this version of hamal");
  }
  Statement same(database, "SELECT count(*) FROM repository WHERE id = ?1");
  same.bind(1, repository_id);
  if (!same.step() || same.number(0) != 1) {
    throw DatabaseDamaged("it is of another repository");
  }
}

}  // namespace

RecordFile::RecordFile(const std::filesystem::path& path, const std::string& repository_id)
    : m_database(path) {
  // A lost transaction is content stored again; a damaged file would be all of it.
  m_database.execute("PRAGMA journal_mode = WAL");
  m_database.execute("PRAGMA synchronous = NORMAL");
  m_database.execute("PRAGMA cache_size = -32768");  // KiB
  if (m_database.number("SELECT count(*) FROM sqlite_master") == 0) {
    make_tables(m_database, repository_id);
  }
  check_tables(m_database, repository_id);
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    m_device = status.st_dev;
    m_inode = status.st_ino;
  }
  m_find.emplace(m_database,
                 "SELECT p.session, p.number, r.offset, r.length, r.plain, r.sum "
                 "FROM records r JOIN packs p ON p.id = r.pack WHERE r.id = ?1");
  m_knows.emplace(m_database, "SELECT 1 FROM layers WHERE key = ?1");
  m_insert.emplace(m_database, "INSERT OR IGNORE INTO records VALUES(?1, ?2, ?3, ?4, ?5, ?6)");
  m_replace.emplace(m_database, "INSERT OR REPLACE INTO records VALUES(?1, ?2, ?3, ?4, ?5, ?6)");
  m_add_layer.emplace(m_database, "INSERT OR IGNORE INTO layers VALUES(?1)");
  m_add_pack.emplace(m_database, "INSERT OR IGNORE INTO packs(session, number) VALUES(?1, ?2)");
  m_find_pack.emplace(m_database, "SELECT id FROM packs WHERE session = ?1 AND number = ?2");
}

std::optional<CachedRecord> RecordFile::find(const RecordId& id) {
  m_find->bind(1, id);
  if (!m_find->step()) {
    return std::nullopt;
  }
  CachedRecord record;
  record.id = id;
  record.place.pack = pack_name(*m_find, 0);
  record.place.offset = static_cast<std::uint64_t>(m_find->number(2));
  record.place.length = static_cast<std::uint32_t>(m_find->number(3));
  record.plain = static_cast<std::uint32_t>(m_find->number(4));
  const std::int64_t sum = m_find->number(5);
  m_find->reset();
  if (sum != checksum(record)) {
    throw DatabaseDamaged("a record's checksum is wrong");
  }
  return record;
}

bool RecordFile::knows(const std::string& layer_key) {
  m_knows->bind(1, layer_key);
  const bool known = m_knows->step();
  m_knows->reset();
  return known;
}

std::int64_t RecordFile::pack_id(const PackName& pack) {
  m_add_pack->bind(1, pack.session).bind(2, pack.number).run();
  m_find_pack->bind(1, pack.session).bind(2, pack.number);
  if (!m_find_pack->step()) {
    throw DatabaseDamaged("a pack cannot be added");
  }
  const std::int64_t id = m_find_pack->number(0);
  m_find_pack->reset();
  return id;
}

void RecordFile::store(const std::vector<CachedRecord>& records, const std::string& layer_key,
                       const std::function<bool(const PackName&)>& replace) {
  struct Pack {
    std::int64_t id;
    bool replaces;
  };
  std::map<PackName, Pack> packs;
  Transaction transaction(m_database);
  for (const CachedRecord& record : records) {
    auto pack = packs.find(record.place.pack);
    if (pack == packs.end()) {
      const PackName& name = record.place.pack;
      pack = packs.emplace(name, Pack{pack_id(name), replace(name)}).first;
    }
    Statement& insert = pack->second.replaces ? *m_replace : *m_insert;
    insert.bind(1, record.id)
        .bind(2, pack->second.id)
        .bind(3, static_cast<std::int64_t>(record.place.offset))
        .bind(4, record.place.length)
        .bind(5, record.plain)
        .bind(6, checksum(record))
        .run();
  }
  if (!layer_key.empty()) {
    m_add_layer->bind(1, layer_key).run();
  }
  transaction.commit();
}

bool RecordFile::forget_if_stale(const std::function<bool(const PackName&)>& usable) {
  std::size_t useful = 0;
  std::size_t useless = 0;
  Statement packs(m_database, "SELECT session, number FROM packs");
  while (packs.step()) {
    ++(usable(pack_name(packs, 0)) ? useful : useless);
  }
  if (useless < k_fewest_packs || useless <= useful) {
    return false;
  }
  Transaction transaction(m_database);
  m_database.execute("DELETE FROM records; DELETE FROM packs; DELETE FROM layers;");
  transaction.commit();
  return true;
}

bool RecordFile::is_at(const std::filesystem::path& path) const {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && status.st_dev == m_device &&
         status.st_ino == m_inode;
}

void remove_record_file(const std::filesystem::path& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    std::filesystem::remove(path.string() + suffix);
  }
}

}  // namespace hamal::repository
