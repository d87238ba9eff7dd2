// The file of the record cache: which tables, and what is done with them. Private to this folder.
//
// A row of `records` carries a checksum: what is found here is believed by whoever writes a
// version, and SQLite itself does not notice a bit that flipped in a value.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hamal/repository/record.hpp"
#include "hamal/repository/sqlite.hpp"

namespace hamal::repository {

struct CachedRecord {
  RecordId id{};
  RecordPlace place;
  std::uint32_t plain = 0;
};

/// Used by one thread at a time; several processes may have the file open. Throws DatabaseDamaged
/// and DatabaseFailed.
class RecordFile {
 public:
  /// Throws DatabaseDamaged also for a file of another repository or version.
  RecordFile(const std::filesystem::path& path, const std::string& repository_id);

  std::optional<CachedRecord> find(const RecordId& id);
  bool knows(const std::string& layer_key);
  /// All or nothing. `records` is sorted by id; one that is known keeps its place unless `replace`
  /// says yes. `layer_key`: all of that layer is known then; may be empty.
  void store(const std::vector<CachedRecord>& records, const std::string& layer_key,
             const std::function<bool(const PackName&)>& replace);
  /// Forgets all when more than half of the packs are of no use, so that the file does not grow
  /// for ever.
  bool forget_if_stale(const std::function<bool(const PackName&)>& usable);
  /// Still the file that `path` names.
  bool is_at(const std::filesystem::path& path) const;

 private:
  std::int64_t pack_id(const PackName& pack);

  Database m_database;
  std::uint64_t m_device = 0;
  std::uint64_t m_inode = 0;
  // Prepared when the tables are known to be there.
  std::optional<Statement> m_find;
  std::optional<Statement> m_knows;
  std::optional<Statement> m_insert;
  std::optional<Statement> m_replace;
  std::optional<Statement> m_add_layer;
  std::optional<Statement> m_add_pack;
  std::optional<Statement> m_find_pack;
};

/// Removes the file and what SQLite keeps beside it.
void remove_record_file(const std::filesystem::path& path);

}  // namespace hamal::repository
