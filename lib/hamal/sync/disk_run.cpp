#include "hamal/sync/disk_run.hpp"

#include "hamal/stream/extent_stream.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

std::uint64_t since_ms(const Clock& clock, std::chrono::steady_clock::time_point begin) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(clock.steady() - begin).count());
}

DiskRun::DiskRun(const StreamHeader& header, PlannedDisk& planned, const std::string& target_uri,
                 const SyncOptions& options, const SyncContext& context)
    : m_header(header), m_planned(planned), m_options(options), m_context(context) {
  m_result.disk = planned.disk.id;
  m_result.label = planned.disk.label;
  m_result.target_uri = target_uri;
  m_result.size = planned.disk.size;
  m_result.mode = planned.disk.mode;
  m_result.reason = planned.disk.reason;
  m_result.read_by = planned.disk.read_by;
  m_result.read_by_reason = planned.disk.read_by_reason;
  m_result.planned = planned.totals;
}

void DiskRun::check_source(const BlockReader& source) const {
  if (source.size() != m_planned.disk.size) {
    throw Error(ErrorKind::failed,
                "the source has " + std::to_string(source.size()) + " bytes and the stream says " +
                    std::to_string(m_planned.disk.size),
                source.uri(), "take a new snapshot");
  }
}

void DiskRun::run_copy(const DiskCopyRequest& request, std::unique_ptr<BlockReader> source,
                       BlockWriter& target, DurableProgress& durable) {
  const auto begin = m_context.clock.steady();
  DiskCopyStats stats;
  const auto note = [&] {
    m_result.copied = stats.copied;
    m_result.outages = stats.outages;
    m_result.flushes = durable.flushes();
    m_result.flush_ms = durable.flush_ms();
    m_result.copy_ms = since_ms(m_context.clock, begin);
  };
  try {
    copy_disk(request, std::move(source), target, durable, stats);
  } catch (...) {
    note();
    throw;
  }
  note();
  if (!stats.copied.refused.empty()) {
    m_context.log.warning("{}: {} readers, not more: {}", object(), stats.copied.workers,
                          stats.copied.refused);
  }
  require_all_readable(durable);
}

// All that could be read is written and durable: the next run has only the rest to read.
void DiskRun::require_all_readable(DurableProgress& durable) const {
  const std::vector<Extent>& unreadable = m_result.copied.unreadable;
  if (unreadable.empty()) {
    return;
  }
  durable.record();
  std::uint64_t bytes = 0;
  for (const Extent& range : unreadable) {
    bytes += range.length;
  }
  throw Error(ErrorKind::failed,
              "the source cannot read " + std::to_string(bytes) + " bytes in " +
                  std::to_string(unreadable.size()) + " places, the first at offset " +
                  std::to_string(unreadable.front().offset) + ": " +
                  describe(m_result.copied.unreadable_reason),
              object(), "all else is copied; see to the source's storage and run again");
}

void DiskRun::fail(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const StreamFailed& failed) {
    m_result.status = static_cast<ExitStatus>(failed.status());
    m_result.error = failed.what();
  } catch (const Error& known) {
    m_result.status = exit_status(known);
    m_result.error = known.what();
  } catch (const std::exception& other) {
    m_result.status = ExitStatus::failed;
    m_result.error = other.what();
  }
  m_context.log.error("{}: {}", object(), m_result.error);
}

}  // namespace hamal
