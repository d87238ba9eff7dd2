// One disk of a run: decide, open, copy, commit. The order of the steps is what design rules 1, 2
// and 7 are made of.
#pragma once
#include <memory>
#include <mutex>

#include "hamal/sync/disk_copy.hpp"
#include "hamal/sync/run_plan.hpp"
#include "hamal/sync/sync_run.hpp"

namespace hamal {

/// Used by one thread at a time. The state is shared by the disks of a run: `state_mutex` guards
/// it.
class DiskSync {
 public:
  DiskSync(const StreamHeader& header, PlannedDisk& planned, const Endpoint& target,
           const SyncOptions& options, const SyncContext& context, std::mutex& state_mutex);
  ~DiskSync();

  /// Locks the target and decides whether the plan may be applied. Changes nothing.
  void decide();
  /// Refuses a source that is not the planned disk: asked before open_target(), whose mark would
  /// cost the next run its base.
  void check_source(const BlockReader& source) const;
  /// Opens the target and records the in-progress mark. Nothing of the target's content has changed
  /// when it throws.
  void open_target();
  /// Copies the plan, or what an interrupted run left of it, and makes it durable (disk_copy.hpp).
  /// `reopen` opens and identifies the source again after an outage.
  void copy(std::unique_ptr<BlockReader> source,
            const std::function<std::unique_ptr<BlockReader>()>& reopen, const CopyPace& pace);
  /// For callers that bring the data themselves.
  void flush();
  /// The target opened by open_target(), and what a blank or in-place full needs: for callers that
  /// bring the data themselves.
  Target& target() { return *m_target; }
  Blank blank() const;
  /// The spooled plan, from its start.
  ExtentSourcePtr plan() const { return m_plan.extents(); }
  /// In a full onto a target that held something, zeros are written wherever the plan has nothing
  /// (rule 5).
  bool must_fill_gaps() const;
  /// Verify, checkpoint: in that order (rule 7), after a flush (rule 1).
  void commit(const std::function<void(const StreamDisk&)>& verify);

  /// Records why this disk did not commit: its status and error in the result, and the log.
  void fail(const std::exception_ptr& error);

  DiskResult& result() { return m_result; }
  const PlannedDisk& planned() const { return m_planned; }
  std::string object() const { return m_header.vm_name + "/" + m_planned.disk.id; }

 private:
  DiskIdentity identity() const;
  /// What becomes of an interrupted run's plan.
  void choose_continuation();
  /// Before the target changes, and before the mark (restore_point.hpp).
  void keep_restore_point();
  void mark();
  FlushBounds flush_bounds() const;
  void check_finished(BlockReader& source);
  void record_finished(const std::vector<Extent>& finished);
  BlockWriter& reopen_target();
  void require_all_readable(DurableProgress& durable) const;
  /// Refuses a target that is not what its checkpoint says (disk_flag_check.hpp).
  void check_flag(BlockReader& target);
  /// Before it is opened for writing, where that would already change it.
  void check_flag_early();
  /// In the log and the result: what --force did away with.
  void overridden(const std::string& what);

  const StreamHeader& m_header;
  PlannedDisk& m_planned;
  const Endpoint& m_endpoint;
  const SyncOptions& m_options;
  const SyncContext& m_context;
  std::mutex& m_state_mutex;
  std::unique_ptr<FileLock> m_lock;
  std::optional<InProgress> m_mark;  // what an interrupted run left
  std::string m_flag_key;
  std::string m_installation;
  RunPlan m_plan;
  std::string m_restore_path;  // what this run's mark says of it
  std::unique_ptr<Target> m_target;
  DiskResult m_result;
};

}  // namespace hamal
