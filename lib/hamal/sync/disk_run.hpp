// One disk of a run, whatever it is written to: a target in place (disk_sync.hpp) or a session of a
// repository (staged_disk.hpp).
//
//   decide ──► open_target ──► copy ──► commit
#pragma once
#include <exception>
#include <functional>
#include <memory>
#include <string>

#include "hamal/block/block_reader.hpp"
#include "hamal/block/block_writer.hpp"
#include "hamal/sync/disk_copy.hpp"
#include "hamal/sync/plan.hpp"
#include "hamal/sync/result.hpp"
#include "hamal/sync/sync_run.hpp"

namespace hamal {

/// Used by one thread at a time. What it is given outlives it.
class DiskRun {
 public:
  DiskRun(const StreamHeader& header, PlannedDisk& planned, const std::string& target_uri,
          const SyncOptions& options, const SyncContext& context);
  virtual ~DiskRun() = default;
  DiskRun(const DiskRun&) = delete;
  DiskRun& operator=(const DiskRun&) = delete;

  /// Decides whether the plan may be applied to the target. Changes nothing.
  virtual void decide() = 0;
  /// An earlier run has done all of it: only commit() is left.
  virtual bool complete() const { return false; }
  /// Refuses a source that is not the planned disk: asked before open_target(), which may cost the
  /// next run its base.
  void check_source(const BlockReader& source) const;
  /// Nothing of what the target holds has changed when it throws.
  virtual void open_target() = 0;
  /// Copies what is left of the plan and makes it durable (disk_copy.hpp). `reopen` opens and
  /// identifies the source again after an outage.
  virtual void copy(std::unique_ptr<BlockReader> source,
                    const std::function<std::unique_ptr<BlockReader>()>& reopen,
                    const CopyPace& pace) = 0;

  /// For callers that bring the data themselves: what open_target() opened, how it is to be
  /// treated, and the flush before the commit.
  virtual BlockWriter& writer() = 0;
  virtual Blank blank() const = 0;
  /// The spooled plan, from its start.
  virtual ExtentSourcePtr plan() const = 0;
  /// Zeros must be written wherever the plan has nothing (rule 5).
  virtual bool must_fill_gaps() const = 0;
  virtual void flush() = 0;

  /// Verify, then the checkpoint or the staged part: in that order (rule 7), after a flush (rule
  /// 1).
  virtual void commit(const std::function<void(const StreamDisk&)>& verify) = 0;

  /// Records why this disk did not commit: its status and error in the result, and the log.
  void fail(const std::exception_ptr& error);

  DiskResult& result() { return m_result; }
  const PlannedDisk& planned() const { return m_planned; }
  std::string object() const { return m_header.vm_name + "/" + m_planned.disk.id; }

 protected:
  /// copy_disk(), with what it came to in the result, also when it throws. All that could be read
  /// is durable when it throws because something could not.
  void run_copy(const DiskCopyRequest& request, std::unique_ptr<BlockReader> source,
                BlockWriter& target, DurableProgress& durable);

  const StreamHeader& m_header;
  PlannedDisk& m_planned;
  const SyncOptions& m_options;
  const SyncContext& m_context;
  DiskResult m_result;

 private:
  void require_all_readable(DurableProgress& durable) const;
};

/// Since `begin`, by that clock.
std::uint64_t since_ms(const Clock& clock, std::chrono::steady_clock::time_point begin);

}  // namespace hamal
