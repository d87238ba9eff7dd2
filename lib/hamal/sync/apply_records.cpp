#include "hamal/sync/apply_records.hpp"

#include <algorithm>

#include "hamal/block/awaited_io.hpp"
#include "hamal/extent/sources.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/zero_scan.hpp"

namespace hamal {
RecordWriter::RecordWriter(DiskRun& disk)
    : m_disk(disk), m_queue(disk.writer().open_queue()), m_plan(disk.plan()) {}

RecordWriter::~RecordWriter() = default;

// Records of a disk ascend, so one pass over the plan serves them all.
void RecordWriter::require_planned(std::uint64_t offset, std::uint64_t length) {
  while (offset >= m_run_end || offset + length > m_run_end) {
    if (m_index == m_window.size()) {
      m_index = 0;
      if (!m_plan->next(m_window)) {
        m_window.clear();
        break;
      }
    }
    const Extent& extent = m_window[m_index++];
    if (extent.offset != m_run_end) {
      m_run_begin = extent.offset;
    }
    m_run_end = extent.end();
  }
  if (offset < m_run_begin || offset + length > m_run_end) {
    throw Error(ErrorKind::failed,
                "the stream brings bytes at offset " + std::to_string(offset) +
                    " that its plan does not name",
                m_disk.object(), "the stream is damaged or its producer is broken; make it again");
  }
}

void RecordWriter::data(std::uint64_t offset, std::span<const std::byte> bytes) {
  require_planned(offset, bytes.size());
  auto& stats = m_disk.result().copied;
  stats.read_bytes += bytes.size();
  ++stats.read_requests;
  const std::size_t most = m_disk.writer().max_request();
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(bytes.size(), most));
    if (is_zero(part)) {
      write_zeros(offset, part.size());
    } else {
      AwaitedIo done;
      m_queue->write(offset, part, done);
      done.wait(*m_queue);
      stats.written_bytes += part.size();
    }
    offset += part.size();
    bytes = bytes.subspan(part.size());
  }
}

void RecordWriter::zero(std::uint64_t offset, std::uint64_t length) {
  require_planned(offset, length);
  write_zeros(offset, length);
}

void RecordWriter::write_zeros(std::uint64_t offset, std::uint64_t length) {
  auto& stats = m_disk.result().copied;
  if (m_disk.blank() == Blank::yes) {
    stats.skipped_bytes += length;
    return;
  }
  AwaitedIo done;
  m_queue->zero(offset, length, done);
  done.wait(*m_queue);
  stats.zeroed_bytes += length;
}

void RecordWriter::finish() {
  if (!m_disk.must_fill_gaps()) {
    return;
  }
  const auto gaps =
      subtract(whole_disk(m_disk.planned().disk.size, ExtentKind::zero), m_disk.plan());
  std::vector<Extent> window;
  while (gaps->next(window)) {
    for (const auto& gap : window) {
      write_zeros(gap.offset, gap.length);
    }
  }
}

}  // namespace hamal
