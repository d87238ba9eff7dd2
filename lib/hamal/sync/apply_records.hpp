// Writing what a data stream brings: the receiving counterpart of copy.hpp.
#pragma once
#include <memory>

#include "hamal/extent/algebra.hpp"
#include "hamal/sync/disk_run.hpp"

namespace hamal {

/// Writes one disk's records in the order they arrive. Refuses what lies outside the recorded plan:
/// a byte that was not planned could not be repaired after an interruption. Used by one thread;
/// must not outlive the disk.
class RecordWriter {
 public:
  explicit RecordWriter(DiskRun& disk);
  ~RecordWriter();
  void data(std::uint64_t offset, std::span<const std::byte> bytes);
  void zero(std::uint64_t offset, std::uint64_t length);
  /// In a full onto a target that held something: zeros wherever the plan has nothing.
  void finish();

 private:
  void require_planned(std::uint64_t offset, std::uint64_t length);
  void write_zeros(std::uint64_t offset, std::uint64_t length);

  DiskRun& m_disk;
  std::unique_ptr<WriteQueue> m_queue;
  ExtentSourcePtr m_plan;
  std::vector<Extent> m_window;
  std::size_t m_index = 0;
  std::uint64_t m_run_begin = 0;  // the contiguous planned range the last record lay in
  std::uint64_t m_run_end = 0;
};

}  // namespace hamal
