#include "hamal/sync/plan.hpp"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <system_error>

#include "hamal/util/file.hpp"
#include "hamal/util/random_id.hpp"

namespace hamal {
namespace {

constexpr const char* k_suffix = ".plan";

// The spools of all disks of one stream, which may interleave.
class PlanCollector {
 public:
  PlanCollector(const std::filesystem::path& directory, const StreamHeader& header) {
    make_private_directories(directory);
    for (const auto& disk : header.disks) {
      const auto path = directory / (random_hex(16) + k_suffix);
      m_disks.push_back({disk, {}, PlanFile(path)});
      m_writers.push_back(std::make_unique<SpoolWriter>(path, disk.size));
    }
  }

  void append(std::size_t disk, std::span<const Extent> extents) {
    m_writers.at(disk)->append(extents);
  }

  std::vector<PlannedDisk> finish() {
    for (std::size_t i = 0; i < m_disks.size(); ++i) {
      m_disks[i].totals = m_writers[i]->finish();
    }
    return std::move(m_disks);
  }

 private:
  // Before the writers: a writer that is not finished removes its temporary first.
  std::vector<PlannedDisk> m_disks;
  std::vector<std::unique_ptr<SpoolWriter>> m_writers;
};

}  // namespace

PlanFile::~PlanFile() {
  if (!m_path.empty()) {
    ::unlink(m_path.c_str());
  }
}

PlanFile& PlanFile::operator=(PlanFile&& other) noexcept {
  std::swap(m_path, other.m_path);
  return *this;
}

std::vector<PlannedDisk> collect_plans(ExtentStreamReader& stream,
                                       const std::filesystem::path& directory,
                                       const CancelToken& cancel) {
  PlanCollector collector(directory, stream.header());
  std::size_t disk = 0;
  std::vector<Extent> window;
  while (stream.next(disk, window)) {
    cancel.check();
    collector.append(disk, window);
  }
  return collector.finish();
}

std::vector<PlannedDisk> collect_plans(std::vector<DiskChanges>& changes,
                                       const std::filesystem::path& directory,
                                       const CancelToken& cancel) {
  StreamHeader header;
  for (const auto& change : changes) {
    header.disks.push_back(change.header);
  }
  PlanCollector collector(directory, header);
  std::vector<Extent> window;
  for (std::size_t disk = 0; disk < changes.size(); ++disk) {
    while (changes[disk].extents->next(window)) {
      cancel.check();
      collector.append(disk, window);
    }
    changes[disk].extents.reset();  // ends what it held open at the platform
  }
  return collector.finish();
}

std::vector<PlannedDisk> collect_plans(DataStreamReader& stream,
                                       const std::filesystem::path& directory,
                                       const CancelToken& cancel, StreamRecord& first) {
  PlanCollector collector(directory, stream.header());
  for (first = stream.next(); const auto* plan = std::get_if<PlanRecord>(&first);
       first = stream.next()) {
    cancel.check();
    collector.append(plan->disk, plan->extents);
  }
  return collector.finish();
}

std::uint64_t worthwhile_gap(const ExtentTotals& plan, std::uint64_t disk_size) noexcept {
  constexpr std::uint64_t k_many = 65536;
  constexpr std::uint64_t k_gap = 16U << 10;
  const bool dense = plan.extents >= k_many && disk_size / plan.extents <= 2 * k_gap;
  return dense ? k_gap : 0;
}

void remove_stale_plans(const std::filesystem::path& directory,
                        const std::vector<std::filesystem::path>& named) {
  std::error_code error;  // tidying up never fails a run
  std::filesystem::directory_iterator entry(directory, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const auto& path = entry->path();
    if (std::find(named.begin(), named.end(), path) == named.end() &&
        path.filename().string().find(k_suffix) != std::string::npos) {
      std::error_code ignored;
      std::filesystem::remove(path, ignored);
    }
  }
}

}  // namespace hamal
