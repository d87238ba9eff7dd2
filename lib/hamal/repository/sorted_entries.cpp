#include "hamal/repository/sorted_entries.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <queue>
#include <span>
#include <type_traits>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal::repository {
namespace {

// They go to the scratch file as they are.
static_assert(std::is_trivially_copyable_v<StagedEntry>);
constexpr std::size_t k_read_entries = 256;

// The rest of an entry from `begin` on; false when nothing is left.
bool cut_front(LayerEntry& entry, std::uint64_t begin) {
  if (begin <= entry.extent.offset) {
    return true;
  }
  if (begin >= entry.extent.end()) {
    return false;
  }
  const std::uint64_t cut = begin - entry.extent.offset;
  entry.extent.offset += cut;
  entry.extent.length -= cut;
  if (entry.extent.kind == ExtentKind::data) {
    entry.skip += static_cast<std::uint32_t>(cut);
  }
  return true;
}

class RunReader {
 public:
  RunReader(int fd, const std::filesystem::path& path, SortedEntries::Run run)
      : m_fd(fd), m_path(path), m_run(run) {}

  bool next() { return ++m_at < m_window.size() || refill(); }
  const StagedEntry& entry() const { return m_window[m_at]; }

 private:
  bool refill() {
    m_at = 0;
    m_window.resize(std::min<std::uint64_t>(k_read_entries, m_run.end - m_run.begin));
    if (m_window.empty()) {
      return false;
    }
    pread_all(m_fd, std::as_writable_bytes(std::span(m_window)), m_run.begin * sizeof(StagedEntry),
              m_path);
    m_run.begin += m_window.size();
    return true;
  }

  int m_fd;
  const std::filesystem::path& m_path;
  SortedEntries::Run m_run;
  std::vector<StagedEntry> m_window;
  std::size_t m_at = 0;
};

class MergedRuns final : public EntrySource {
 public:
  MergedRuns(int fd, const std::filesystem::path& path, const std::vector<SortedEntries::Run>& runs,
             StageTotals& totals)
      : m_totals(totals) {
    for (const auto& run : runs) {
      m_readers.emplace_back(fd, path, run);
    }
    for (std::size_t i = 0; i < m_readers.size(); ++i) {
      push(i);
    }
  }

  bool next(LayerEntry& entry) override {
    while (!m_heads.empty()) {
      const std::size_t run = m_heads.top().second;
      m_heads.pop();
      StagedEntry staged = m_readers[run].entry();
      push(run);
      if (!cut_front(staged.entry, m_end)) {
        continue;
      }
      m_end = staged.entry.extent.end();
      count(staged);
      entry = staged.entry;
      return true;
    }
    return false;
  }

 private:
  using Head = std::pair<std::uint64_t, std::size_t>;  // offset, run

  void push(std::size_t run) {
    if (m_readers[run].next()) {
      m_heads.emplace(m_readers[run].entry().entry.extent.offset, run);
    }
  }

  void count(const StagedEntry& staged) {
    const LayerEntry& entry = staged.entry;
    ++m_totals.entries;
    if (entry.extent.kind == ExtentKind::zero) {
      m_totals.zero_bytes += entry.extent.length;
      return;
    }
    m_totals.data_bytes += entry.extent.length;
    if (staged.origin == Origin::shared) {
      m_totals.shared_bytes += entry.extent.length;
    } else {
      m_totals.stored_bytes += entry.place.length;
    }
  }

  StageTotals& m_totals;
  std::vector<RunReader> m_readers;
  std::priority_queue<Head, std::vector<Head>, std::greater<>> m_heads;
  std::uint64_t m_end = 0;
};

}  // namespace

SortedEntries::SortedEntries(std::filesystem::path directory, std::size_t run)
    : m_directory(std::move(directory)),
      m_run(run),
      m_file(open_file(m_directory, O_TMPFILE | O_RDWR)) {}

void SortedEntries::add(const StagedEntry& entry) {
  m_entries.push_back(entry);
  ++m_added;
  if (m_entries.size() >= m_run) {
    spill();
  }
}

void SortedEntries::spill() {
  std::sort(m_entries.begin(), m_entries.end(), [](const auto& a, const auto& b) {
    return a.entry.extent.offset < b.entry.extent.offset;
  });
  pwrite_all(m_file.get(), std::as_bytes(std::span(m_entries)), m_spilled * sizeof(StagedEntry),
             m_directory);
  m_runs.push_back({m_spilled, m_spilled + m_entries.size()});
  m_spilled += m_entries.size();
  m_entries.clear();
}

EntrySourcePtr SortedEntries::sorted(StageTotals& totals) {
  if (!m_entries.empty()) {
    spill();
  }
  m_entries.shrink_to_fit();
  return std::make_unique<MergedRuns>(m_file.get(), m_directory, m_runs, totals);
}

}  // namespace hamal::repository
