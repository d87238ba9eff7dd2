// A session: the attempt to fill one slot with a version of one vm (hamal-repository(5), SESSIONS).
//
//   begin ──► stage disk, stage disk … ──► commit
// A process that dies leaves its session's record under hamal_lib_dir; the next one with the same
// snapshot goes on with what is there.
#pragma once
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hamal/block/block_writer.hpp"
#include "hamal/report/log.hpp"
#include "hamal/repository/repository.hpp"
#include "hamal/stream/snapshot_document.hpp"
#include "hamal/util/cancel.hpp"
#include "hamal/util/time.hpp"

namespace hamal::repository {

struct SessionContext {
  Repository& repository;
  /// hamal_lib_dir/repository/ID: session records, journals, the record cache. Made when needed.
  std::filesystem::path directory;
  Logger& log;
  const CancelToken& cancel;
  const Clock& clock;
  std::chrono::milliseconds outage_max{0};  ///< how long a store that went away is waited for
  std::uint64_t memory = 96U << 20;         ///< bytes of packs that wait to be put
  unsigned compression = 1;                 ///< level of zstd, 0: none
  /// Throws Error(busy) when the machine is not ours any more: asked right before each attempt to
  /// publish. Thread-safe.
  std::function<void()> still_ours = [] {};
};

/// What is written of one disk: a BlockWriter whose bytes become records. write() and zero() of
/// disjoint ranges at multiples of 4096 (the disk's end excepted); calls complete inside. What is
/// written becomes durable pack by pack: flush() closes the last one and waits for all.
class DiskStage {
 public:
  virtual ~DiskStage() = default;
  virtual BlockWriter& writer() noexcept = 0;
  /// What an earlier process of this session finished of the plan (and what lies between its
  /// extents): sorted, merged.
  virtual std::vector<Extent> finished() const = 0;

  /// What was written before mark() is durable once durable(mark); no pack is closed for that.
  virtual std::uint32_t mark() = 0;
  virtual bool durable(std::uint32_t mark) = 0;
  /// Of ranges that are durable: the next process needs not read them again.
  virtual void note_finished(const std::vector<Extent>& ranges) = 0;

  /// Puts the last packs and the layer, and the staged part. Nothing may follow.
  virtual DiskVersion finish() = 0;
};

struct StageRequest {
  std::string id;
  std::string label;
  std::uint64_t index = 0;
  std::uint64_t size = 0;
  std::string change_id;
  SyncMode mode = SyncMode::full;
  std::string reason;
  std::string base_change_id;  ///< of an incremental: must be that of the base version's disk
};

/// One process works on a session at a time (the vm's lock). Thread-safe for different disks.
class WriteSession {
 public:
  virtual ~WriteSession() = default;
  virtual const SessionId& id() const noexcept = 0;
  virtual std::uint64_t generation() const noexcept = 0;
  /// An earlier process began it.
  virtual bool resumed() const noexcept = 0;
  /// The disk's checkpoint: its part of the newest visible version that includes it.
  virtual std::optional<DiskVersion> base(const std::string& disk_id) = 0;
  /// What was marked as damaged when the session was first asked (damaged.hpp): read once.
  virtual const PackSet& damaged() = 0;
  /// Already staged by an earlier process, for this snapshot.
  virtual std::optional<DiskVersion> staged(std::uint64_t disk_index) = 0;
  virtual std::unique_ptr<DiskStage> stage(const StageRequest& request) = 0;
  /// Publishes what is staged. Throws Error(busy) when the slot was taken: the run is void.
  /// May be repeated; a slot that holds this session's version is success.
  virtual Manifest commit(const SnapshotDocument& document) = 0;
};

/// Goes on with the session of that snapshot that is on record here, or begins one: registers it,
/// lists what is condemned, reads the slots, in that order.
std::unique_ptr<WriteSession> begin_session(const SessionContext& context, const VmName& vm,
                                            const std::string& vm_name,
                                            const std::string& snapshot_id);
/// Only one that is on record: nullptr when there is none, or when its slot was taken.
std::unique_ptr<WriteSession> resume_session(const SessionContext& context, const VmName& vm,
                                             const std::string& snapshot_id);

/// The checkpoint of a disk on a repository: the newest visible version that includes it.
struct RepositoryBase {
  std::uint64_t generation = 0;
  std::string snapshot_id;
  std::string committed;  ///< RFC 3339
  DiskVersion disk;
};
std::optional<RepositoryBase> find_base(Repository& repository, const VmName& vm,
                                        const std::string& disk_id);

}  // namespace hamal::repository
