// What a run did, per disk: the decision trace (hamal-sync(1), RESULT).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "hamal/extent/spool.hpp"
#include "hamal/state/state.hpp"
#include "hamal/stream/stream_header.hpp"
#include "hamal/sync/copy.hpp"
#include "hamal/sync/disk_flag_check.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

/// From where an interrupted run was continued.
struct Resumed {
  std::string snapshot_id;
  std::string started;           ///< of the interrupted run, RFC 3339
  std::vector<Extent> finished;  ///< what it had made durable
};

/// What a repository was given of a disk, bytes of the disk unless said otherwise.
struct StoredBytes {
  std::uint64_t data = 0;
  std::uint64_t zero = 0;
  std::uint64_t stored = 0;  ///< in packs: compressed
  std::uint64_t shared = 0;  ///< of the data, that the repository had already
  std::uint64_t packs = 0;
};

struct DiskResult {
  std::string disk;
  std::string label;
  std::string target_uri;
  std::string target;  ///< canonical identity
  std::uint64_t size = 0;
  SyncMode mode = SyncMode::full;
  std::string reason;
  std::string read_by;  ///< of the stream's header: empty where there is one way
  std::string read_by_reason;
  ExitStatus status = ExitStatus::failed;
  std::string error;  ///< empty when committed
  bool target_created = false;
  FlagReport flag;
  std::vector<std::string> overridden;  ///< what --force did away with
  ExtentTotals planned;                 ///< what the platform said
  std::optional<Resumed> resumed;       ///< the same snapshot's copy went on
  /// When the interrupted run had started whose changes were copied again from this snapshot;
  /// empty: there was none.
  std::string united;
  CopyStats copied;
  std::optional<StoredBytes> stored;  ///< in a repository
  unsigned outages = 0;               ///< how often source or target went away and came back
  unsigned flushes = 0;
  std::uint64_t total_ms = 0;
  std::uint64_t copy_ms = 0;
  std::uint64_t flush_ms = 0;
  std::optional<Checkpoint> before;
  std::optional<Checkpoint>
      after;  ///< the committed one; absent when the run failed or was a dry run
};

/// The version of a repository that the disks were staged for.
struct VersionResult {
  std::uint64_t generation = 0;
  std::string session;
  bool committed = false;
};

struct SyncResult {
  std::string run_id;
  std::string platform;
  std::string vm_id;
  std::string vm_name;
  std::string snapshot_id;
  bool dry_run = false;
  std::uint64_t total_ms = 0;
  std::optional<VersionResult> version;  ///< of a repository
  std::vector<DiskResult> disks;

  /// 0 when all committed; 3 when some did; the first failed disk's own when none; 130 or 143 when
  /// stopped.
  ExitStatus status() const;
};

/// One line of JSON, newline-terminated.
std::string to_json(const SyncResult& result);
/// For people: one paragraph per disk.
std::string to_text(const SyncResult& result);

}  // namespace hamal
