// One disk of a run that goes into a repository: its records are put pack by pack, at the end its
// layer and its part of the version are staged; the version is published when all disks are
// (commit_version.hpp). Nothing is changed in place, so there is no mark, no flag and no restore
// point; what an interrupted run has put is in the session's journal.
#pragma once
#include <memory>
#include <optional>

#include "hamal/block/fenced_writer.hpp"
#include "hamal/extent/spool.hpp"
#include "hamal/repository/write_session.hpp"
#include "hamal/sync/disk_run.hpp"
#include "hamal/sync/repository_target.hpp"

namespace hamal {

class StagedDisk final : public DiskRun {
 public:
  StagedDisk(const StreamHeader& header, PlannedDisk& planned, RepositoryTarget& target,
             const SyncOptions& options, const SyncContext& context);

  void decide() override;
  bool complete() const override { return m_staged.has_value(); }
  void open_target() override;
  void copy(std::unique_ptr<BlockReader> source,
            const std::function<std::unique_ptr<BlockReader>()>& reopen,
            const CopyPace& pace) override;
  BlockWriter& writer() override { return *m_writer; }
  /// Its zeros are told: they hide what is below, or count.
  Blank blank() const override { return Blank::no; }
  ExtentSourcePtr plan() const override { return m_plan->extents(); }
  bool must_fill_gaps() const override { return false; }
  void flush() override;
  void commit(const std::function<void(const StreamDisk&)>& verify) override;

 private:
  void find_staged();
  void note(const repository::DiskVersion& version);

  RepositoryTarget& m_target;
  std::optional<repository::DiskVersion> m_staged;  // by an earlier process
  std::optional<Spool> m_plan;
  std::unique_ptr<repository::DiskStage> m_stage;
  std::unique_ptr<FencedWriter> m_writer;  // of m_stage
};

}  // namespace hamal
