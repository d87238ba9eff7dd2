// One run: the disks of one vm, from a snapshot to their targets.
//
//   plans ──► per disk: decide ──► open ──► copy ──► commit        (disk_sync.hpp)
//             lock,     source and  workers     flush, verify the
//             base      snapshot,   (copy.hpp)  snapshot, checkpoint
//                       target,
//                       mark
//
// A disk that fails does not stop the others; the result says what became of each.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hamal/block/block_reader.hpp"
#include "hamal/block/endpoint.hpp"
#include "hamal/report/log.hpp"
#include "hamal/report/progress.hpp"
#include "hamal/state/state.hpp"
#include "hamal/stream/data_stream.hpp"
#include "hamal/stream/stream_header.hpp"
#include "hamal/sync/decide.hpp"
#include "hamal/sync/disk_flag_check.hpp"
#include "hamal/sync/own_proxy.hpp"
#include "hamal/sync/plan.hpp"
#include "hamal/sync/read_changes.hpp"
#include "hamal/sync/result.hpp"
#include "hamal/target/target.hpp"
#include "hamal/util/cancel.hpp"
#include "hamal/util/file_lock.hpp"
#include "hamal/util/time.hpp"

namespace hamal {

struct SyncOptions {
  Incremental incremental = Incremental::automatic;
  Resize resize = Resize::refuse;
  Force force = Force::no;
  TakeOver take_over = TakeOver::no;  ///< of a target that another proxy has written
  DiskFlagPolicy disk_flag;           ///< of the platform's type
  bool dry_run = false;
  /// How a mark that an interrupted run left is treated.
  Interrupted interrupted = Interrupted::mended;
  unsigned readers = 2;      ///< per disk, to start with
  unsigned max_readers = 2;  ///< the ceiling to which latency may raise them
  unsigned parallel_disks = 4;
  unsigned max_parallel_disks = 4;
  std::uint64_t memory_limit = 512ULL << 20;   ///< bytes, of the whole run
  std::uint64_t bytes_per_second = 0;          ///< of all disks together; 0: no limit
  std::chrono::milliseconds release{0};        ///< how long a reader yields after each MiB
  std::chrono::milliseconds retry_pause{100};  ///< the first one after a failed read
  std::chrono::milliseconds flush_period{3000};
  std::chrono::milliseconds flush_timeout{0};  ///< 0: none
  std::chrono::milliseconds outage_max{0};     ///< how long lost storage is waited for
};

/// How the frozen disks are opened, and asked whether they are still what they were (rule 7).
/// Called from one thread at a time.
struct SyncSource {
  std::function<std::unique_ptr<BlockReader>(const StreamDisk&)> open_reader;
  std::function<void(const StreamDisk&)> verify;
};

/// References outlive the run.
struct SyncContext {
  State& state;
  Logger& log;
  Progress& progress;
  const CancelToken& cancel;
  const Clock& clock;
  LockHolder holder;
  /// Where the lock of a target (its canonical identity) lies.
  std::function<std::filesystem::path(const std::string&)> lock_path;
  std::chrono::milliseconds wait{0};  ///< for a busy target
  /// Throws Error(busy) once the vm may be another proxy's: asked before every write, from any
  /// thread.
  std::function<void()> still_ours = [] {};
  std::string proxy = {};  ///< LeaseOwner::proxy, recorded with what is committed
  /// What the source's URI means here: an image with its cluster, so that it is known again under
  /// another name.
  std::function<Endpoint(const std::string&)> endpoint_of = [](const std::string& uri) {
    return parse_endpoint(uri);
  };
};

/// `targets` are those of `disks`, in order. Throws Error(usage) when two disks have one target;
/// what fails later is in the result.
SyncResult run_sync(const StreamHeader& header, std::vector<PlannedDisk>& disks,
                    const std::vector<Endpoint>& targets, const SyncSource& source,
                    const SyncOptions& options, const SyncContext& context);

/// The same from a data stream whose plans have been collected; `record` is the one that followed
/// them.
SyncResult run_data_stream(DataStreamReader& stream, StreamRecord record,
                           std::vector<PlannedDisk>& disks, const std::vector<Endpoint>& targets,
                           const SyncOptions& options, const SyncContext& context);

class RepositoryTarget;
/// The same into a repository (staged_disk.hpp): the disks are staged, and the version is for the
/// caller to commit (commit_version.hpp).
SyncResult stage_sync(const StreamHeader& header, std::vector<PlannedDisk>& disks,
                      RepositoryTarget& target, const SyncSource& source,
                      const SyncOptions& options, const SyncContext& context);
SyncResult stage_data_stream(DataStreamReader& stream, StreamRecord record,
                             std::vector<PlannedDisk>& disks, RepositoryTarget& target,
                             const SyncOptions& options, const SyncContext& context);

}  // namespace hamal
