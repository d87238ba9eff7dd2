#include "hamal/sync/disk_sync.hpp"

#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "hamal/extent/algebra.hpp"
#include "hamal/sync/restore_point.hpp"

namespace hamal {
namespace {

// Opening would create it: a delta must not.
void require_existing(const Endpoint& endpoint) {
  if (endpoint.kind == EndpointKind::file && ::access(endpoint.path.c_str(), F_OK) != 0) {
    throw Error(ErrorKind::base_mismatch, "the target is gone and the stream holds changes only",
                endpoint.uri, "hamal-sync checkpoint forget, then run a full copy");
  }
}

}  // namespace

DiskSync::DiskSync(const StreamHeader& header, PlannedDisk& planned, const Endpoint& target,
                   const SyncOptions& options, const SyncContext& context, std::mutex& state_mutex)
    : DiskRun(header, planned, target.uri, options, context),
      m_endpoint(target),
      m_state_mutex(state_mutex),
      m_plan(planned, m_mark) {}

DiskSync::~DiskSync() = default;

DiskIdentity DiskSync::identity() const {
  return {m_header.platform, m_header.vm_id, m_planned.disk.id, m_result.target};
}

void DiskSync::decide() {
  m_result.target = canonical_target(m_endpoint);
  m_lock =
      std::make_unique<FileLock>(m_context.lock_path(m_result.target), "target " + m_endpoint.uri,
                                 m_context.holder, m_context.wait, m_context.cancel);
  {
    const std::lock_guard lock(m_state_mutex);
    m_result.before = m_context.state.find_checkpoint(identity());
    m_mark = m_context.state.find_in_progress(identity());
    m_flag_key = m_context.state.disk_flag_key();
    m_installation = m_context.state.installation_id();
    m_given_up = require_own_target(m_context.state, identity(), m_endpoint.uri, m_options.force);
  }
  for (const GivenUp& other : m_given_up) {
    overridden(other.words);
  }
  if (m_context.state.shared()) {
    for (const GivenUp& other : m_given_up) {
      if (!other.proxy.empty() && other.proxy != m_context.proxy) {
        require_taken_over(other.proxy, m_endpoint.uri, m_options.take_over);
      }
    }
    const std::string other = require_own_proxy(m_result.before, m_mark, m_context.proxy,
                                                m_endpoint.uri, m_options.take_over);
    if (!other.empty()) {
      m_context.log.warning("{}: {} is taken over from proxy {}", object(), m_endpoint.uri, other);
    }
  }
  choose_continuation();
  check_applicable(
      m_planned.disk, m_options.incremental, m_result.before, m_mark,
      m_plan.continuation() == Continuation::none ? RecordedPlan::lost : RecordedPlan::kept,
      m_endpoint.uri);
  if (m_planned.disk.mode == SyncMode::incremental) {
    require_existing(m_endpoint);
  }
  if (m_options.dry_run) {
    check_flag_early();
  }
  m_context.log.info("{}: {} because {}; base {}, change id {}, {} extents, target {}", object(),
                     to_string(m_planned.disk.mode), m_planned.disk.reason,
                     m_planned.disk.base_change_id.empty() ? "none" : m_planned.disk.base_change_id,
                     m_planned.disk.change_id.empty() ? "none" : m_planned.disk.change_id,
                     m_planned.totals.extents, m_endpoint.uri);
}

void DiskSync::choose_continuation() {
  // A full that began after the release is the one that follows it.
  const bool released =
      m_result.before && !m_result.before->released.empty() && m_mark &&
      !(m_mark->mode == SyncMode::full && m_mark->started > m_result.before->released);
  if (!m_mark || released || m_options.incremental == Incremental::never ||
      m_options.interrupted == Interrupted::not_mended) {
    return;
  }
  if (!m_plan.choose(m_header.snapshot_id)) {
    m_context.log.warning("{}: the plan of the run that was interrupted is lost: {}", object(),
                          m_mark->plan_path);
  }
}

void DiskSync::overridden(const std::string& what) {
  m_result.overridden.push_back(what);
  m_context.log.warning("{}: --force overrides: {} ({})", object(), what, m_endpoint.uri);
}

void DiskSync::check_flag(BlockReader& target) {
  check_disk_flag(target, m_flag_key,
                  {.disk = m_planned.disk,
                   .checkpoint = m_result.before,
                   .mark = m_mark,
                   .policy = m_options.disk_flag,
                   .force = m_options.force,
                   .target = m_endpoint.uri,
                   .plan = [this] { return Spool(m_planned.plan.path()).extents(); }},
                  m_result.flag);
  if (m_result.flag.verdict == FlagVerdict::overridden) {
    overridden(m_result.flag.reason);
  }
}

void DiskSync::check_flag_early() {
  if (target_exists(m_endpoint)) {
    check_flag(*open_block_reader(m_endpoint, &m_context.cancel));
  }
}

void DiskSync::open_target() {
  // Opening a file of another size with --resize cuts it. An NBD export keeps its size.
  const bool resized = m_result.before && m_result.before->size != m_planned.disk.size &&
                       m_endpoint.kind != EndpointKind::nbd;
  if (resized) {
    check_flag_early();
    keep_restore_point();
  }
  const bool whole = m_planned.disk.mode == SyncMode::full;
  m_context.still_ours();
  take(hamal::open_target(m_endpoint, m_planned.disk.size,
                          {.resize = whole ? m_options.resize : Resize::refuse,
                           .force = m_options.force,
                           .create = whole,
                           .known = m_result.before.has_value() || m_mark.has_value(),
                           .cancel = &m_context.cancel}));
  take_identity();
  m_result.target_created = m_target->created();
  if (!m_target->overridden().empty()) {
    overridden(m_target->overridden());
  }
  if (m_target->created() || m_target->resized()) {
    m_plan.drop_recorded();
  }
  if (m_target->created()) {
    m_result.flag.reason = "the target is new";
  } else if (!resized) {
    check_flag(*m_target->open_reader());
  }
  m_plan.open();
  if (m_plan.continuation() == Continuation::same_snapshot) {
    m_result.resumed = Resumed{.snapshot_id = m_header.snapshot_id,
                               .started = m_mark->started,
                               .finished = m_mark->finished};
    m_context.log.info("{}: goes on where the run of {} was interrupted, {} ranges are done",
                       object(), m_mark->started, m_mark->finished.size());
    return;  // under the mark there is
  }
  if (m_plan.continuation() == Continuation::united_plans) {
    m_result.united = m_mark->started;
    m_context.log.info("{}: what the run of {} may have changed is copied again: {} extents in all",
                       object(), m_mark->started, m_plan.totals().extents);
  }
  if (!resized) {
    keep_restore_point();
  }
  mark();
  if (m_mark && !m_mark->plan_path.empty()) {
    ::unlink(m_mark->plan_path.c_str());
  }
}

// An image in Ceph has an identity of its own only once it is there.
void DiskSync::take_identity() {
  if (m_target->canonical() == m_result.target) {
    return;
  }
  m_created_lock = std::make_unique<FileLock>(m_context.lock_path(m_target->canonical()),
                                              "target " + m_endpoint.uri, m_context.holder,
                                              m_context.wait, m_context.cancel);
  m_result.target = m_target->canonical();
}

void DiskSync::keep_restore_point() {
  m_restore_path = hamal::keep_restore_point({.target = m_result.target,
                                              .object = object(),
                                              .checkpoint = m_result.before,
                                              .mark = m_mark,
                                              .flag = m_result.flag.verdict,
                                              .target_created = m_target && m_target->created()},
                                             m_installation, m_context.log);
}

void DiskSync::mark() {
  std::vector<DiskIdentity> given_up;
  for (const GivenUp& other : m_given_up) {
    given_up.push_back(other.disk);
  }
  const std::lock_guard lock(m_state_mutex);
  m_context.state.mark_in_progress({.identity = identity(),
                                    .mode = m_planned.disk.mode,
                                    .base_change_id = m_planned.disk.base_change_id,
                                    .change_id = m_planned.disk.change_id,
                                    .snapshot_id = m_header.snapshot_id,
                                    .plan_path = m_plan.path().string(),
                                    .started = rfc3339(m_context.clock.wall()),
                                    .target_created = m_target->created(),
                                    .finished = {},
                                    .restore_path = m_restore_path,
                                    .proxy = m_context.proxy},
                                   given_up);
  m_plan.keep();
}

Blank DiskSync::blank() const {
  return m_target->created() ? Blank::yes : Blank::no;
}

bool DiskSync::must_fill_gaps() const {
  const bool blank_then =
      m_plan.continuation() == Continuation::same_snapshot && m_mark->target_created;
  return m_planned.disk.mode == SyncMode::full && !m_target->created() && !blank_then;
}

// A mark is believed only as far as the target bears it out: it may have been put back from a copy,
// or be another disk by now.
void DiskSync::check_finished(BlockReader& source) {
  if (!m_result.resumed || m_result.resumed->finished.empty()) {
    return;
  }
  const auto wrong = first_difference(source, *m_target->open_reader(), plan(),
                                      m_result.resumed->finished, m_flag_key + object());
  if (!wrong) {
    return;
  }
  if (m_planned.disk.mode == SyncMode::incremental) {
    throw Error(ErrorKind::wrong_target,
                "the target is not what the interrupted run left: it differs at offset " +
                    std::to_string(*wrong),
                m_endpoint.uri,
                "was it written by something else? copy all of it again with --incremental=never "
                "--force (in a pipe with hamal-cbt-read --full)");
  }
  m_context.log.warning(
      "{}: the target is not what the interrupted run left (offset {}): it is copied from the "
      "beginning",
      object(), *wrong);
  m_result.resumed->finished.clear();
  m_mark->target_created = false;  // what it holds elsewhere is not known either
  record_finished({});
}

void DiskSync::copy(std::unique_ptr<BlockReader> source,
                    const std::function<std::unique_ptr<BlockReader>()>& reopen,
                    const CopyPace& pace) {
  check_finished(*source);
  const std::uint64_t total = must_fill_gaps() ? m_planned.disk.size : m_plan.totals().bytes();
  const bool fill = must_fill_gaps();
  DurableProgress durable(
      m_result.resumed ? m_result.resumed->finished : std::vector<Extent>{},
      {m_options.flush_period, flush_bounds()},
      [this](const std::vector<Extent>& finished) { record_finished(finished); },
      std::chrono::steady_clock::now());
  // A request costs a round trip, or at least a server's attention; to the kernel next to nothing.
  const std::uint64_t gap =
      source->file_descriptor() >= 0 ? 0 : worthwhile_gap(m_plan.totals(), m_planned.disk.size);
  const DiskCopyRequest request{
      .open_source = reopen,
      .reopen_target = [this]() -> BlockWriter& { return reopen_target(); },
      .plan =
          [this, fill, gap] {
            return fill ? fill_gaps(plan(), m_planned.disk.size) : coalesce(plan(), gap);
          },
      .blank = blank(),
      .pace = pace,
      .object = object(),
      .total = total,
      .outage_max = m_options.outage_max,
      .progress = m_context.progress,
      .log = m_context.log,
      .cancel = m_context.cancel};
  run_copy(request, std::move(source), writer(), durable);
}

// A failure to record costs a later run time, not this one its success: only a mark that was taken
// away ends it.
void DiskSync::record_finished(const std::vector<Extent>& finished) {
  const std::lock_guard lock(m_state_mutex);
  try {
    m_context.state.record_finished(identity(), finished);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::busy) {
      throw;
    }
    m_context.log.warning("{}: how far it is could not be recorded: {}", object(), error.what());
  }
}

BlockWriter& DiskSync::reopen_target() {
  m_writer.reset();
  m_target.reset();  // its lock is ours
  auto target = hamal::open_target(m_endpoint, m_planned.disk.size,
                                   {.resize = Resize::refuse,
                                    .force = m_options.force,
                                    .create = false,
                                    .known = true,
                                    .cancel = &m_context.cancel});
  take(std::move(target));
  return writer();
}

void DiskSync::take(std::unique_ptr<Target> target) {
  m_target = std::move(target);
  m_writer = std::make_unique<FencedWriter>(m_target->writer(), m_context.still_ours);
}

FlushBounds DiskSync::flush_bounds() const {
  return {.timeout = m_options.flush_timeout,
          .outage = m_options.outage_max,
          .cancel = &m_context.cancel};
}

void DiskSync::flush() {
  m_context.progress.phase(object(), "flushing", 0);
  const auto begin = m_context.clock.steady();
  writer().flush(flush_bounds());
  m_result.flush_ms = since_ms(m_context.clock, begin);
  ++m_result.flushes;
}

void DiskSync::commit(const std::function<void(const StreamDisk&)>& verify) {
  if (m_options.dry_run) {
    m_result.status = ExitStatus::done;
    return;
  }
  m_context.progress.phase(object(), "verifying", 0);
  verify(m_planned.disk);
  m_context.cancel.check();
  Checkpoint checkpoint;
  checkpoint.identity = identity();
  checkpoint.vm_name = m_header.vm_name;
  checkpoint.change_id = m_planned.disk.change_id;
  checkpoint.snapshot_id = m_header.snapshot_id;
  checkpoint.generation = m_result.before ? m_result.before->generation + 1 : 1;
  checkpoint.size = m_planned.disk.size;
  checkpoint.committed = rfc3339(m_context.clock.wall());
  checkpoint.target_uri = m_endpoint.uri;
  checkpoint.proxy = m_context.proxy;
  checkpoint.disk_flag = take_disk_flag(
      *m_target->open_reader(), m_flag_key, checkpoint, m_result.before, m_options.disk_flag,
      [this] { return plan(); }, m_result.flag);
  {
    const std::lock_guard lock(m_state_mutex);
    m_context.state.commit_checkpoint(checkpoint);
  }
  drop_restore_point(m_result.target, m_installation, m_context.log);
  m_result.after = checkpoint;
  m_result.status = ExitStatus::done;
  ::unlink(m_plan.path().c_str());
  m_context.log.info("{}: committed generation {}: read {} bytes, wrote {}, zeroed {}", object(),
                     checkpoint.generation, m_result.copied.read_bytes,
                     m_result.copied.written_bytes, m_result.copied.zeroed_bytes);
}

}  // namespace hamal
