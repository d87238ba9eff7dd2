#include "hamal/sync/staged_disk.hpp"

#include "hamal/extent/algebra.hpp"
#include "hamal/repository/record.hpp"
#include "hamal/sync/decide.hpp"
#include "hamal/sync/staged_progress.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

// A store that hangs is the store's to give up, after outage_max.
constexpr std::chrono::milliseconds k_stall_grace{60'000};

}  // namespace

StagedDisk::StagedDisk(const StreamHeader& header, PlannedDisk& planned, RepositoryTarget& target,
                       const SyncOptions& options, const SyncContext& context)
    : DiskRun(header, planned, target.uri(), options, context), m_target(target) {}

void StagedDisk::decide() {
  m_result.target = m_target.canonical();
  m_result.before = m_target.checkpoint(m_planned.disk.id);
  check_applicable(m_planned.disk, m_options.incremental, m_result.before, std::nullopt,
                   RecordedPlan::lost, m_target.uri());
  if (!m_options.dry_run) {
    find_staged();
  }
  m_context.log.info("{}: {} because {}; base {}, change id {}, {} extents, repository {}",
                     object(), to_string(m_planned.disk.mode), m_planned.disk.reason,
                     m_planned.disk.base_change_id.empty() ? "none" : m_planned.disk.base_change_id,
                     m_planned.disk.change_id.empty() ? "none" : m_planned.disk.change_id,
                     m_planned.totals.extents, m_target.uri());
}

// What was staged from this snapshot is this disk, on whatever base: a version needs no other.
void StagedDisk::find_staged() {
  auto* session = m_target.find_session();
  if (session == nullptr) {
    return;
  }
  m_staged = session->staged(m_planned.disk.index);
  if (m_staged && (m_staged->id != m_planned.disk.id || m_staged->size != m_planned.disk.size ||
                   m_staged->change_id != m_planned.disk.change_id)) {
    m_staged.reset();
  }
}

void StagedDisk::open_target() {
  repository::StageRequest request;
  request.id = m_planned.disk.id;
  request.label = m_planned.disk.label;
  request.index = m_planned.disk.index;
  request.size = m_planned.disk.size;
  request.change_id = m_planned.disk.change_id;
  request.mode = m_planned.disk.mode;
  request.reason = m_planned.disk.reason;
  request.base_change_id = m_planned.disk.base_change_id;
  m_stage = m_target.session().stage(request);
  m_writer = std::make_unique<FencedWriter>(m_stage->writer(), m_context.still_ours);
  m_plan.emplace(m_planned.plan.path());
}

void StagedDisk::copy(std::unique_ptr<BlockReader> source,
                      const std::function<std::unique_ptr<BlockReader>()>& reopen,
                      const CopyPace& pace) {
  const auto finished = m_stage->finished();
  if (!finished.empty()) {
    m_result.resumed = Resumed{m_header.snapshot_id, {}, finished};
    m_context.log.info("{}: goes on where an interrupted run was, {} ranges are done", object(),
                       finished.size());
  }
  StagedProgress durable(finished, *m_stage);
  CopyPace own = pace;
  own.memory = pace.memory / 2;  // the other half is the packs'
  own.stall_max = m_options.outage_max + k_stall_grace;
  const DiskCopyRequest request{
      .open_source = reopen,
      .reopen_target = [this]() -> BlockWriter& { return writer(); },
      .plan =
          [this] {
            return coalesce(align(unite(m_target.damaged(m_planned.disk), plan()),
                                  repository::k_record_alignment, m_planned.disk.size));
          },
      .blank = blank(),
      .pace = own,
      .object = object(),
      .total = m_plan->totals().bytes(),
      .outage_max = m_options.outage_max,
      .progress = m_context.progress,
      .log = m_context.log,
      .cancel = m_context.cancel};
  run_copy(request, std::move(source), writer(), durable);
}

void StagedDisk::flush() {
  m_context.progress.phase(object(), "flushing", 0);
  writer().flush();
}

void StagedDisk::commit(const std::function<void(const StreamDisk&)>& verify) {
  if (m_options.dry_run) {
    m_result.status = ExitStatus::done;
    return;
  }
  m_context.progress.phase(object(), "verifying", 0);
  verify(m_planned.disk);
  m_context.cancel.check();
  if (!m_staged) {
    m_context.progress.phase(object(), "staging", 0);
    m_staged = m_stage->finish();
  }
  note(*m_staged);
  m_result.status = ExitStatus::done;
  m_context.log.info(
      "{}: staged: {} bytes of data and {} of zeros, {} bytes stored in {} packs, {} "
      "bytes were there already",
      object(), m_staged->data_bytes, m_staged->zero_bytes, m_staged->stored_bytes, m_staged->packs,
      m_staged->shared_bytes);
}

void StagedDisk::note(const repository::DiskVersion& version) {
  m_result.stored = StoredBytes{version.data_bytes, version.zero_bytes, version.stored_bytes,
                                version.shared_bytes, version.packs};
}

}  // namespace hamal
