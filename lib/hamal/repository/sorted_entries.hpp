// From a journal's order to a layer's: the entries of a staged disk sorted in pieces that fit
// memory, in one scratch file, and merged as they are read.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "hamal/repository/journal.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal::repository {

/// Of the entries that were handed out, each range of the disk once.
struct StageTotals {
  std::uint64_t entries = 0;
  std::uint64_t data_bytes = 0;
  std::uint64_t zero_bytes = 0;
  std::uint64_t stored_bytes = 0;  ///< of the records that the session put
  std::uint64_t shared_bytes = 0;  ///< of the disk, that were there before
};

/// Add everything, then sorted(). Entries that overlap hold the same bytes: they are cut.
class SortedEntries {
 public:
  /// `directory`: where the scratch file lies; it has no name. `run`: entries in memory.
  explicit SortedEntries(std::filesystem::path directory, std::size_t run = 128U << 10);
  void add(const StagedEntry& entry);
  std::uint64_t added() const noexcept { return m_added; }
  /// Once. Counts into `totals` what it hands out. Both outlive the source.
  EntrySourcePtr sorted(StageTotals& totals);

  struct Run {
    std::uint64_t begin = 0;  ///< entries before it in the file
    std::uint64_t end = 0;
  };

 private:
  void spill();

  std::filesystem::path m_directory;
  std::size_t m_run;
  std::vector<StagedEntry> m_entries;
  UniqueFd m_file;
  std::vector<Run> m_runs;
  std::uint64_t m_spilled = 0;
  std::uint64_t m_added = 0;
};

}  // namespace hamal::repository
