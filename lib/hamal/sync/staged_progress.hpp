// Which part of a plan is in packs that are in the store. Nothing is flushed for it: what was
// written when a mark was set is durable once all packs begun before it are (DiskStage::mark).
#pragma once
#include <optional>
#include <vector>

#include "hamal/repository/write_session.hpp"
#include "hamal/sync/durable_progress.hpp"

namespace hamal {

/// As DurableProgress; what becomes durable is noted in the stage's journal.
class StagedProgress final : public DurableProgress {
 public:
  StagedProgress(std::vector<Extent> durable, repository::DiskStage& stage);
  void tick(BlockWriter& target, TimePoint now) override;
  void void_unflushed() override;

 private:
  struct Mark {
    std::uint32_t pack = 0;
    std::vector<Extent> written;
  };

  repository::DiskStage& m_stage;
  std::optional<Mark> m_mark;
};

}  // namespace hamal
