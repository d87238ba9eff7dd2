// What a run is going to change, spooled to disk before the first byte of a target changes (design
// rule 2): so half a stream changes nothing, totals are known for progress, and memory does not
// grow with the number of extents.
#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "hamal/extent/spool.hpp"
#include "hamal/stream/data_stream.hpp"
#include "hamal/stream/extent_stream.hpp"
#include "hamal/sync/read_changes.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal {

/// A spooled plan; the file is removed with the object unless kept. Movable.
class PlanFile {
 public:
  PlanFile() = default;
  explicit PlanFile(std::filesystem::path path) : m_path(std::move(path)) {}
  ~PlanFile();
  PlanFile(PlanFile&& other) noexcept : m_path(std::exchange(other.m_path, {})) {}
  PlanFile& operator=(PlanFile&& other) noexcept;
  PlanFile(const PlanFile&) = delete;
  PlanFile& operator=(const PlanFile&) = delete;
  const std::filesystem::path& path() const noexcept { return m_path; }
  /// The file stays: an in-progress mark names it.
  void keep() noexcept { m_path.clear(); }

 private:
  std::filesystem::path m_path;
};

/// One disk of a run: what the stream says of it, and its extents.
struct PlannedDisk {
  StreamDisk disk;
  ExtentTotals totals;
  PlanFile plan;
};

/// Reads a whole extent stream: complete and consistent, or an Error. `directory` is where plans
/// are spooled.
std::vector<PlannedDisk> collect_plans(ExtentStreamReader& stream,
                                       const std::filesystem::path& directory,
                                       const CancelToken& cancel);

/// The same from changes read in this process.
std::vector<PlannedDisk> collect_plans(std::vector<DiskChanges>& changes,
                                       const std::filesystem::path& directory,
                                       const CancelToken& cancel);

/// The plan records at the head of a data stream; `first` receives the record that follows them.
std::vector<PlannedDisk> collect_plans(DataStreamReader& stream,
                                       const std::filesystem::path& directory,
                                       const CancelToken& cancel, StreamRecord& first);

/// How much between two data extents is worth reading along, bytes: 0, but for a disk with very
/// many extents near each other, where a request costs more than the gap's bytes (scripts/bench
/// --case million-changes-nbd). What is read along is unchanged since the base, so writing it
/// changes nothing.
std::uint64_t worthwhile_gap(const ExtentTotals& plan, std::uint64_t disk_size) noexcept;

/// Removes spooled plans that no mark names (`named`): what killed runs left. For whoever holds the
/// vm's lock: the directory is the vm's own.
void remove_stale_plans(const std::filesystem::path& directory,
                        const std::vector<std::filesystem::path>& named);

}  // namespace hamal
