// What compactions moved: from a place in an old pack to one in a new pack
// (hamal-repository(5), COMPACTION).
//
// compactions/N is a slot like those of versions: filled once, by the compaction's own object or by
// a tombstone. Compactions are numbered in the order in which they were published, and each has
// seen all before it: it moves records from where they are then, so a place is moved by at most one
// of them, and moves follow each other.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/repository/keyring.hpp"
#include "hamal/repository/record.hpp"
#include "hamal/store/object_store.hpp"

namespace hamal::repository {

/// One record of an old pack; the new pack is one of the compaction's session.
struct MovedRecord {
  std::uint32_t from = 0;  ///< offset in the old pack
  std::uint32_t to_pack = 0;
  std::uint32_t to = 0;  ///< offset there
  friend bool operator==(const MovedRecord&, const MovedRecord&) = default;
};

/// What one compaction publishes.
struct Compaction {
  SessionId session{};
  std::map<PackName, std::vector<MovedRecord>> packs;  ///< by old pack; records ascend by `from`
  friend bool operator==(const Compaction&, const Compaction&) = default;
};

std::string to_bytes(const Compaction& compaction, const std::string& key, const Keyring& keyring);
/// Throws a permanent Error naming `key`.
Compaction parse_compaction(std::string_view bytes, const std::string& key, const Keyring& keyring);

/// All visible compactions together. Immutable once added up. Memory: 12 bytes per record they
/// moved, which is 12 MB where 64 GB were moved in records of 64 KiB (4 GB in ones of 4 KiB), and
/// not yet forgotten: a compaction goes when no visible version names what it moved.
class Moves {
 public:
  Moves() = default;
  void add(std::uint64_t number, Compaction compaction);
  /// Where a record lies now. `used` is told the compactions on the way.
  RecordPlace current(RecordPlace place, std::set<std::uint64_t>* used = nullptr) const;
  /// Whether any record of a pack was moved.
  bool has(const PackName& pack) const { return m_packs.contains(pack); }
  const std::set<std::uint64_t>& numbers() const noexcept { return m_numbers; }
  /// Whose packs a visible compaction filled.
  const std::map<std::uint64_t, SessionId>& sessions() const noexcept { return m_sessions; }

 private:
  /// What one compaction took out of a pack.
  struct Part {
    std::uint64_t number;
    std::vector<MovedRecord> records;
  };
  std::map<PackName, std::vector<Part>> m_packs;  // ascending by number
  std::set<std::uint64_t> m_numbers;
  std::map<std::uint64_t, SessionId> m_sessions;
};

/// Lists and reads them. Does not wait list_lag.
std::shared_ptr<const Moves> read_moves(ObjectStore& store, const Keyring& keyring);

}  // namespace hamal::repository
