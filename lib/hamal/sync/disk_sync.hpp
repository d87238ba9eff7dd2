// One disk of a run that is written in place. The order of the steps is what design rules 1, 2 and
// 7 are made of.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "hamal/block/fenced_writer.hpp"
#include "hamal/sync/disk_run.hpp"
#include "hamal/sync/own_target.hpp"
#include "hamal/sync/run_plan.hpp"

namespace hamal {

/// The state is shared by the disks of a run: `state_mutex` guards it.
class DiskSync final : public DiskRun {
 public:
  DiskSync(const StreamHeader& header, PlannedDisk& planned, const Endpoint& target,
           const SyncOptions& options, const SyncContext& context, std::mutex& state_mutex);
  ~DiskSync() override;

  /// Locks the target.
  void decide() override;
  /// Opens the target and records the in-progress mark.
  void open_target() override;
  void copy(std::unique_ptr<BlockReader> source,
            const std::function<std::unique_ptr<BlockReader>()>& reopen,
            const CopyPace& pace) override;
  BlockWriter& writer() override { return *m_writer; }
  Blank blank() const override;
  ExtentSourcePtr plan() const override { return m_plan.extents(); }
  bool must_fill_gaps() const override;
  void flush() override;
  void commit(const std::function<void(const StreamDisk&)>& verify) override;

 private:
  DiskIdentity identity() const;
  /// What becomes of an interrupted run's plan.
  void choose_continuation();
  /// Of a target that had none before it was created.
  void take_identity();
  /// Before the target changes, and before the mark (restore_point.hpp).
  void keep_restore_point();
  void mark();
  FlushBounds flush_bounds() const;
  void check_finished(BlockReader& source);
  void record_finished(const std::vector<Extent>& finished);
  BlockWriter& reopen_target();
  void take(std::unique_ptr<Target> target);
  /// Refuses a target that is not what its checkpoint says (disk_flag_check.hpp).
  void check_flag(BlockReader& target);
  /// Before it is opened for writing, where that would already change it.
  void check_flag_early();
  /// In the log and the result: what --force did away with.
  void overridden(const std::string& what);

  const Endpoint& m_endpoint;
  std::mutex& m_state_mutex;
  std::unique_ptr<FileLock> m_lock;
  std::unique_ptr<FileLock> m_created_lock;
  std::optional<InProgress> m_mark;  // what an interrupted run left
  std::vector<GivenUp> m_given_up;   // other disks whose the target was
  std::string m_flag_key;
  std::string m_installation;
  RunPlan m_plan;
  std::string m_restore_path;  // what this run's mark says of it
  std::unique_ptr<Target> m_target;
  std::unique_ptr<FencedWriter> m_writer;  // of m_target
};

}  // namespace hamal
