#include "hamal/sync/disk_sync.hpp"

#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "hamal/extent/algebra.hpp"
#include "hamal/sync/copy.hpp"

namespace hamal {
namespace {

std::uint64_t since_ms(const Clock& clock, std::chrono::steady_clock::time_point begin) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(clock.steady() - begin).count());
}

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
    : m_header(header),
      m_planned(planned),
      m_endpoint(target),
      m_options(options),
      m_context(context),
      m_state_mutex(state_mutex) {
  m_result.disk = planned.disk.id;
  m_result.label = planned.disk.label;
  m_result.target_uri = target.uri;
  m_result.size = planned.disk.size;
  m_result.mode = planned.disk.mode;
  m_result.reason = planned.disk.reason;
  m_result.planned = planned.totals;
}

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
  }
  require_own_target();
  check_applicable(m_planned.disk, m_options.incremental, m_result.before, m_mark, m_endpoint.uri);
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

// Neither the other disk's replica is lost by a slip of the pattern, nor is its checkpoint believed
// afterwards.
void DiskSync::require_own_target() {
  const std::lock_guard lock(m_state_mutex);
  for (const auto& other : m_context.state.list_checkpoints()) {
    if (other.identity.target == m_result.target && other.identity != identity()) {
      const std::string what = "the target holds the disk " + other.identity.platform + ":" +
                               other.vm_name + "/" + other.identity.disk_id + " of generation " +
                               std::to_string(other.generation);
      if (m_options.force == Force::yes) {
        overridden(what);
        continue;
      }
      throw Error(ErrorKind::wrong_target, what, m_endpoint.uri,
                  "choose another target, or give that one up: hamal-sync checkpoint forget, or "
                  "--force");
    }
  }
}

void DiskSync::overridden(const std::string& what) {
  m_result.overridden.push_back(what);
  m_context.log.warning("{}: --force overrides: {} ({})", object(), what, m_endpoint.uri);
}

void DiskSync::check_flag(BlockReader& target) {
  check_disk_flag(target, m_flag_key,
                  {m_planned.disk, m_result.before, m_mark, m_options.disk_flag, m_options.force,
                   m_endpoint.uri, [this] { return Spool(m_planned.plan.path()).extents(); }},
                  m_result.flag);
  if (m_result.flag.verdict == FlagVerdict::overridden) {
    overridden(m_result.flag.reason);
  }
}

void DiskSync::check_flag_early() {
  std::error_code error;
  if (m_endpoint.kind == EndpointKind::nbd || std::filesystem::exists(m_endpoint.path, error)) {
    check_flag(*open_block_reader(m_endpoint));
  }
}

void DiskSync::check_source(const BlockReader& source) const {
  if (source.size() != m_planned.disk.size) {
    throw Error(ErrorKind::failed,
                "the source has " + std::to_string(source.size()) + " bytes and the stream says " +
                    std::to_string(m_planned.disk.size),
                source.uri(), "take a new snapshot");
  }
}

void DiskSync::open_target() {
  m_spool = std::make_unique<Spool>(m_planned.plan.path());
  // Opening a file of another size with --resize cuts it. An NBD export keeps its size.
  const bool resized = m_result.before && m_result.before->size != m_planned.disk.size &&
                       m_endpoint.kind != EndpointKind::nbd;
  if (resized) {
    check_flag_early();
  }
  m_target = hamal::open_target(
      m_endpoint, m_planned.disk.size,
      {m_options.resize, m_options.force, m_result.before.has_value() || m_mark.has_value()});
  m_result.target_created = m_target->created();
  if (!m_target->overridden().empty()) {
    overridden(m_target->overridden());
  }
  if (m_target->created()) {
    m_result.flag.reason = "the target is new";
  } else if (!resized) {
    check_flag(*m_target->open_reader());
  }
  {
    InProgress mark;
    mark.identity = identity();
    mark.mode = m_planned.disk.mode;
    mark.base_change_id = m_planned.disk.base_change_id;
    mark.change_id = m_planned.disk.change_id;
    mark.snapshot_id = m_header.snapshot_id;
    mark.plan_path = m_planned.plan.path().string();
    mark.started = rfc3339(m_context.clock.wall());
    const std::lock_guard lock(m_state_mutex);
    m_context.state.mark_in_progress(mark);
  }
  if (m_mark && !m_mark->plan_path.empty()) {
    ::unlink(m_mark->plan_path.c_str());
  }
}

Blank DiskSync::blank() const {
  return m_target->created() ? Blank::yes : Blank::no;
}

bool DiskSync::must_fill_gaps() const {
  return m_planned.disk.mode == SyncMode::full && !m_target->created();
}

void DiskSync::copy(BlockReader& source, std::uint64_t memory) {
  const auto todo = must_fill_gaps() ? fill_gaps(plan(), m_planned.disk.size) : plan();
  const std::uint64_t total = must_fill_gaps()
                                  ? m_planned.disk.size
                                  : m_planned.totals.data_bytes + m_planned.totals.zero_bytes;
  m_context.progress.phase(object(), "copying", total);
  const auto begin = m_context.clock.steady();
  m_result.copied = copy_extents({source, m_target->writer(), *todo, blank(), m_options.readers,
                                  memory, object(), m_context.progress, m_context.cancel});
  m_result.copy_ms = since_ms(m_context.clock, begin);
}

void DiskSync::commit(const std::function<void(const StreamDisk&)>& verify) {
  if (m_options.dry_run) {
    m_result.status = ExitStatus::done;
    return;
  }
  m_context.progress.phase(object(), "flushing", 0);
  const auto begin = m_context.clock.steady();
  m_target->writer().flush();
  m_result.flush_ms = since_ms(m_context.clock, begin);
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
  checkpoint.disk_flag = take_disk_flag(
      *m_target->open_reader(), m_flag_key, checkpoint, m_result.before, m_options.disk_flag,
      [this] { return plan(); }, m_result.flag);
  {
    const std::lock_guard lock(m_state_mutex);
    m_context.state.commit_checkpoint(checkpoint);
  }
  m_result.after = checkpoint;
  m_result.status = ExitStatus::done;
  m_context.log.info("{}: committed generation {}: read {} bytes, wrote {}, zeroed {}", object(),
                     checkpoint.generation, m_result.copied.read_bytes,
                     m_result.copied.written_bytes, m_result.copied.zeroed_bytes);
}

void DiskSync::fail(const std::exception_ptr& error) {
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
  if (m_target && !m_result.after) {
    m_planned.plan.keep();  // the in-progress mark names it
  }
  m_context.log.error("{}: {}", object(), m_result.error);
}

}  // namespace hamal
