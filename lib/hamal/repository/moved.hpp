// What compactions moved: from a place in an old pack to one in a new pack
// (hamal-repository(5), COMPACTION).
//
// compactions/N is a slot like those of versions: filled once, by the compaction's own object or by
// a tombstone. Compactions are numbered in the order in which they were published, and each has
// seen all before it: it moves records from where they are then, so a place is moved by at most one
// of them, and moves follow each other.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hamal/repository/keyring.hpp"
#include "hamal/repository/moved_table.hpp"
#include "hamal/repository/record.hpp"
#include "hamal/store/object_store.hpp"

namespace hamal::repository {

/// What one compaction publishes.
struct Compaction {
  SessionId session{};
  std::map<PackName, std::vector<MovedRecord>> packs;  ///< by old pack; records ascend by `from`
  friend bool operator==(const Compaction&, const Compaction&) = default;
};

std::string to_bytes(const Compaction& compaction, const std::string& key, const Keyring& keyring);
/// Throws a permanent Error naming `key`.
Compaction parse_compaction(std::string_view bytes, const std::string& key, const Keyring& keyring);

/// All visible compactions together. Immutable once added up. Memory: some 150 bytes per pack that
/// they emptied, and 24 MiB however many records they moved (MovedTable); while one is added, it.
class Moves {
 public:
  /// `scratch`: the directory of what does not fit into memory.
  explicit Moves(std::filesystem::path scratch) : m_table(std::move(scratch)) {}
  void add(std::uint64_t number, const Compaction& compaction);
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
    MovedTable::Part records;
  };
  MovedTable m_table;
  std::map<PackName, std::vector<Part>> m_packs;  // ascending by number
  std::set<std::uint64_t> m_numbers;
  std::map<std::uint64_t, SessionId> m_sessions;
};

/// Lists and reads them. Does not wait list_lag.
std::shared_ptr<const Moves> read_moves(ObjectStore& store, const Keyring& keyring,
                                        const std::filesystem::path& scratch);

}  // namespace hamal::repository
