#include "hamal/sync/staged_progress.hpp"

#include <utility>

namespace hamal {

StagedProgress::StagedProgress(std::vector<Extent> durable, repository::DiskStage& stage)
    : DurableProgress(
          std::move(durable), {},
          [&stage](const std::vector<Extent>& ranges) { stage.note_finished(ranges); },
          std::chrono::steady_clock::now()),
      m_stage(stage) {}

void StagedProgress::tick(BlockWriter& /*target*/, TimePoint /*now*/) {
  if (m_mark && m_stage.durable(m_mark->pack)) {
    advance(std::move(m_mark->written));
    m_mark.reset();
    record();
  }
  if (!m_mark) {
    // In this order: what is written after the ranges were taken may be in an earlier pack.
    Mark mark;
    mark.written = written().ranges();
    mark.pack = m_stage.mark();
    if (mark.written != durable()) {
      m_mark = std::move(mark);
    }
  }
}

void StagedProgress::void_unflushed() {
  m_mark.reset();
  DurableProgress::void_unflushed();
}

}  // namespace hamal
