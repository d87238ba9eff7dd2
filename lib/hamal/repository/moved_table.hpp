// Moved records in bounded memory: the newest of them are there, the rest lies in a scratch file
// and is read pack by pack, where records are looked for in the order of their places. Private to
// this folder.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "hamal/util/unique_fd.hpp"

namespace hamal::repository {

/// One record of an old pack; the new pack is one of the compaction's session.
struct MovedRecord {
  std::uint32_t from = 0;  ///< offset in the old pack
  std::uint32_t to_pack = 0;
  std::uint32_t to = 0;  ///< offset there
  friend bool operator==(const MovedRecord&, const MovedRecord&) = default;
};

/// add() first, then find(), which is thread-safe.
class MovedTable {
 public:
  /// What was added together: records that ascend by `from`.
  struct Part {
    std::uint64_t begin = 0;
    std::uint32_t count = 0;
  };

  /// `directory`: where the scratch file lies, made when it is needed; it has no name. `most`:
  /// records in memory that were not read back, and as many that were.
  explicit MovedTable(std::filesystem::path directory, std::size_t most = 1U << 20);
  Part add(const std::vector<MovedRecord>& records);
  std::optional<MovedRecord> find(const Part& part, std::uint64_t from) const;

 private:
  using Records = std::shared_ptr<const std::vector<MovedRecord>>;
  struct Kept {
    std::uint64_t begin = 0;
    Records records;
  };

  void spill();
  Records read(const Part& part) const;

  std::filesystem::path m_directory;
  std::size_t m_most;
  UniqueFd m_file;
  std::uint64_t m_in_file = 0;
  std::vector<MovedRecord> m_newest;
  mutable std::mutex m_mutex;      // of what was read back
  mutable std::list<Kept> m_kept;  ///< the last used first
  mutable std::map<std::uint64_t, std::list<Kept>::iterator> m_index;
  mutable std::size_t m_kept_records = 0;
};

}  // namespace hamal::repository
