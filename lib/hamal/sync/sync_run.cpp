#include "hamal/sync/sync_run.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>

#include "hamal/block/rbd_image.hpp"
#include "hamal/sync/apply_records.hpp"
#include "hamal/sync/disk_sync.hpp"
#include "hamal/sync/growth.hpp"
#include "hamal/sync/staged_disk.hpp"

namespace hamal {
namespace {

void require_distinct_targets(const std::vector<Endpoint>& targets) {
  std::set<std::string> seen;
  for (const auto& target : targets) {
    if (!seen.insert(canonical_target(target)).second) {
      throw Error(ErrorKind::usage, "two disks would be written to one target", target.uri,
                  "put {disk} or {index} into the target pattern");
    }
  }
}

bool is_path(const Endpoint& endpoint) {
  return endpoint.kind == EndpointKind::file || endpoint.kind == EndpointKind::device;
}

// Of which cluster a name is known only where it is attached: two sections may mean one.
bool is_image(const Endpoint& a, const Endpoint& b) {
  if (a.kind != EndpointKind::rbd || b.kind != EndpointKind::rbd) {
    return false;
  }
  if (a.ceph && b.ceph) {
    return a.ceph->fsid() == b.ceph->fsid() && canonical_rbd(a) == canonical_rbd(b);
  }
  return (a.rbd.cluster.empty() || b.rbd.cluster.empty() || a.rbd.cluster == b.rbd.cluster) &&
         a.rbd.pool == b.rbd.pool && a.rbd.space == b.rbd.space && a.rbd.image == b.rbd.image;
}

bool is_same(const Endpoint& source, const Endpoint& target) {
  std::error_code error;  // what does not exist is nothing else either
  return (is_path(source) && is_path(target) &&
          std::filesystem::equivalent(source.path, target.path, error)) ||
         is_image(source, target) ||
         (source.kind == target.kind && source.kind == EndpointKind::nbd &&
          canonical_target(source) == canonical_target(target));
}

// Only where both are of this host: a data stream's source may be a namesake elsewhere.
void require_other_than_source(const StreamHeader& header, const std::vector<Endpoint>& targets,
                               const SyncContext& context) {
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const std::string& source = header.disks.at(i).source;
    if (!source.empty() &&
        is_same(targets[i].kind == EndpointKind::rbd ? context.endpoint_of(source)
                                                     : parse_endpoint(source),
                targets[i])) {
      throw Error(ErrorKind::usage, "this is the source itself", targets[i].uri,
                  "choose another target");
    }
  }
}

// An eighth is left to what else a run needs: the program, and a stack and two connections a worker
// (scripts/bench --case many-disks).
constexpr std::uint64_t buffer_bytes(std::uint64_t memory_limit) {
  return memory_limit - memory_limit / 8;
}

// What both forms of a run share: the disks, the clock, the result.
class Run {
 public:
  Run(const StreamHeader& header, const SyncOptions& options, const SyncContext& context)
      : m_header(header), m_options(options), m_context(context), m_begin(context.clock.steady()) {}

  void write_in_place(std::vector<PlannedDisk>& disks, const std::vector<Endpoint>& targets) {
    require_distinct_targets(targets);
    for (std::size_t i = 0; i < disks.size(); ++i) {
      m_disks.push_back(std::make_unique<DiskSync>(m_header, disks[i], targets.at(i), m_options,
                                                   m_context, m_state_mutex));
    }
  }

  void stage(std::vector<PlannedDisk>& disks, RepositoryTarget& target) {
    for (auto& disk : disks) {
      m_disks.push_back(std::make_unique<StagedDisk>(m_header, disk, target, m_options, m_context));
    }
  }

  std::vector<std::unique_ptr<DiskRun>>& disks() { return m_disks; }
  std::mutex& platform_mutex() { return m_platform_mutex; }

  // Runs one step of one disk; false when it failed, with the reason in its result.
  template <typename Step>
  bool attempt(DiskRun& disk, Step step) {
    try {
      m_context.cancel.check();
      step();
      return true;
    } catch (...) {
      disk.fail(std::current_exception());
      m_context.progress.done(disk.object());
      return false;
    }
  }

  std::uint64_t elapsed_ms() const {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(m_context.clock.steady() - m_begin)
            .count());
  }

  SyncResult finish() {
    SyncResult result;
    result.run_id = m_context.holder.run_id;
    result.platform = m_header.platform;
    result.vm_id = m_header.vm_id;
    result.vm_name = m_header.vm_name;
    result.snapshot_id = m_header.snapshot_id;
    result.dry_run = m_options.dry_run;
    for (auto& disk : m_disks) {
      result.disks.push_back(disk->result());
    }
    result.total_ms = elapsed_ms();
    return result;
  }

 private:
  const StreamHeader& m_header;
  const SyncOptions& m_options;
  const SyncContext& m_context;
  std::chrono::steady_clock::time_point m_begin;
  std::mutex m_state_mutex;
  std::mutex m_platform_mutex;
  std::vector<std::unique_ptr<DiskRun>> m_disks;
};

// The threads that take the disks one after the other. There are more of them while latency is what
// is waited for and each brings something (growth.hpp).
class DiskCrew {
 public:
  DiskCrew(Run& run, const SyncSource& source, const SyncOptions& options,
           const SyncContext& context)
      : m_run(run),
        m_source(source),
        m_options(options),
        m_context(context),
        m_limit(options.bytes_per_second) {}

  void run() {
    const auto disks = static_cast<unsigned>(std::max<std::size_t>(m_run.disks().size(), 1));
    const unsigned start = std::clamp(m_options.parallel_disks, 1U, disks);
    const unsigned most = std::clamp(m_options.max_parallel_disks, start, disks);
    m_pace = {.readers = m_options.readers,
              .max_readers = m_options.max_readers,
              .memory = buffer_bytes(m_options.memory_limit) / most,
              .limit = &m_limit,
              .release = m_options.release,
              .load = &m_load,
              .stall_max = m_options.outage_max,
              .retry_pause = m_options.retry_pause};
    Growth growth(start, most, std::chrono::steady_clock::now());
    hire(start);
    while (!all_gone()) {
      hire(growth.wanted(m_load.moved.load(), std::chrono::nanoseconds(m_load.latency_ns.load()),
                         std::chrono::steady_clock::now()));
    }
  }

 private:
  void hire(unsigned wanted) {
    while (!m_refused && m_threads.size() < wanted && m_next < m_run.disks().size()) {
      {
        const std::lock_guard lock(m_mutex);
        ++m_working;
      }
      start([this] {
        for (std::size_t i = m_next++; i < m_run.disks().size(); i = m_next++) {
          sync(*m_run.disks()[i]);
        }
        const std::lock_guard lock(m_mutex);
        --m_working;
        m_gone.notify_one();
      });
    }
  }

  // A thread that cannot be had leaves its disks to the others.
  template <typename Work>
  void start(Work work) {
    try {
      m_threads.emplace_back(work);
    } catch (const std::system_error& error) {
      if (m_threads.empty()) {
        work();  // in this thread
        return;
      }
      m_context.log.warning("{} disks at a time, not more: {}", m_threads.size(), error.what());
      const std::lock_guard lock(m_mutex);
      --m_working;
      m_refused = true;
    }
  }

  bool all_gone() {
    std::unique_lock lock(m_mutex);
    return m_gone.wait_for(lock, std::chrono::milliseconds(100), [this] { return m_working == 0; });
  }

  void sync(DiskRun& disk) {
    const std::uint64_t begin = m_run.elapsed_ms();
    m_run.attempt(disk, [&] {
      m_context.progress.phase(disk.object(), "preparing", 0);
      disk.decide();
      if (!m_options.dry_run && !disk.complete()) {
        auto reader = open_identified(disk);
        open_late(*reader);
        disk.open_target();
        disk.copy(
            std::move(reader), [&] { return open_identified(disk); }, m_pace);
      }
      disk.commit([&](const StreamDisk& planned) {
        const std::lock_guard lock(m_run.platform_mutex());
        m_source.verify(planned);
      });
      m_context.progress.done(disk.object());
    });
    disk.result().total_ms = m_run.elapsed_ms() - begin;
  }

  // A source that allows one connection may have put it off, because it waits for others' to end:
  // without the platform's mutex, which disks that are done need, and before the target is marked.
  static void open_late(BlockReader& reader) {
    if (reader.max_queues() == 1) {
      reader.open_queue();
    }
  }

  // A snapshot that is broken already must not cost the target its base, and one that broke while
  // its storage was away must not be read.
  std::unique_ptr<BlockReader> open_identified(const DiskRun& disk) {
    const std::lock_guard lock(m_run.platform_mutex());
    auto reader = m_source.open_reader(disk.planned().disk);
    disk.check_source(*reader);
    try {
      m_source.verify(disk.planned().disk);
    } catch (const Error& error) {
      throw SnapshotGone(error);
    }
    return reader;
  }

  Run& m_run;
  const SyncSource& m_source;
  const SyncOptions& m_options;
  const SyncContext& m_context;
  RateLimit m_limit;
  CopyLoad m_load;
  CopyPace m_pace;
  std::atomic<std::size_t> m_next{0};
  std::mutex m_mutex;  // of m_working
  std::condition_variable m_gone;
  unsigned m_working = 0;
  bool m_refused = false;               // no more threads
  std::vector<std::jthread> m_threads;  // last: they use all the others
};

SyncResult with_version(SyncResult result, RepositoryTarget& target) {
  if (const auto* session = target.begun()) {
    result.version = VersionResult{session->generation(), repository::to_hex(session->id()), false};
  }
  return result;
}

}  // namespace

SyncResult run_sync(const StreamHeader& header, std::vector<PlannedDisk>& disks,
                    const std::vector<Endpoint>& targets, const SyncSource& source,
                    const SyncOptions& options, const SyncContext& context) {
  require_other_than_source(header, targets, context);
  Run run(header, options, context);
  run.write_in_place(disks, targets);
  DiskCrew(run, source, options, context).run();
  return run.finish();
}

SyncResult stage_sync(const StreamHeader& header, std::vector<PlannedDisk>& disks,
                      RepositoryTarget& target, const SyncSource& source,
                      const SyncOptions& options, const SyncContext& context) {
  Run run(header, options, context);
  run.stage(disks, target);
  DiskCrew(run, source, options, context).run();
  return with_version(run.finish(), target);
}

namespace {

SyncResult apply_data_stream(Run& run, DataStreamReader& stream, StreamRecord record,
                             const std::vector<PlannedDisk>& disks, const SyncOptions& options,
                             const SyncContext& context) {
  std::vector<std::unique_ptr<RecordWriter>> writers(disks.size());
  for (std::size_t i = 0; i < disks.size(); ++i) {
    DiskRun& disk = *run.disks()[i];
    run.attempt(disk, [&] {
      disk.decide();
      if (!options.dry_run && !disk.complete()) {
        disk.open_target();
        context.progress.phase(disk.object(), "receiving",
                               disks[i].totals.data_bytes + disks[i].totals.zero_bytes);
        writers[i] = std::make_unique<RecordWriter>(disk);
      }
    });
  }
  // A failing stream fails every disk that is still being written; a failing target only its own.
  std::exception_ptr stream_error;
  const auto apply = [&](std::size_t i, const auto& write) {
    if (writers[i] && !run.attempt(*run.disks()[i], [&] { write(*writers[i]); })) {
      writers[i].reset();
    }
  };
  try {
    for (; !options.dry_run && !std::holds_alternative<EndRecord>(record); record = stream.next()) {
      context.cancel.check();
      if (const auto* data = std::get_if<DataRecord>(&record)) {
        apply(data->disk, [&](RecordWriter& writer) { writer.data(data->offset, data->bytes); });
        context.progress.advance(run.disks()[data->disk]->object(), data->bytes.size());
      } else if (const auto* zero = std::get_if<ZeroRecord>(&record)) {
        apply(zero->disk, [&](RecordWriter& writer) { writer.zero(zero->offset, zero->length); });
        context.progress.advance(run.disks()[zero->disk]->object(), zero->length);
      }
    }
  } catch (...) {
    stream_error = std::current_exception();
  }
  for (std::size_t i = 0; i < disks.size(); ++i) {
    DiskRun& disk = *run.disks()[i];
    const bool brings_nothing = options.dry_run || disk.complete();
    if (brings_nothing ? !disk.result().error.empty() : !writers[i]) {
      continue;  // failed already
    }
    run.attempt(disk, [&] {
      if (stream_error) {
        std::rethrow_exception(stream_error);
      }
      if (writers[i]) {
        writers[i]->finish();
      }
      if (!brings_nothing) {
        disk.flush();
      }
      // The producer has asked its platform before it wrote the end record.
      disk.commit([](const StreamDisk&) {});
      context.progress.done(disk.object());
    });
    disk.result().total_ms = run.elapsed_ms();
  }
  return run.finish();
}

}  // namespace

SyncResult run_data_stream(DataStreamReader& stream, StreamRecord record,
                           std::vector<PlannedDisk>& disks, const std::vector<Endpoint>& targets,
                           const SyncOptions& options, const SyncContext& context) {
  Run run(stream.header(), options, context);
  run.write_in_place(disks, targets);
  return apply_data_stream(run, stream, std::move(record), disks, options, context);
}

SyncResult stage_data_stream(DataStreamReader& stream, StreamRecord record,
                             std::vector<PlannedDisk>& disks, RepositoryTarget& target,
                             const SyncOptions& options, const SyncContext& context) {
  Run run(stream.header(), options, context);
  run.stage(disks, target);
  return with_version(apply_data_stream(run, stream, std::move(record), disks, options, context),
                      target);
}

}  // namespace hamal
