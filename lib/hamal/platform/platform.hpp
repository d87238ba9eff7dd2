// Where machines run: one interface, one folder per platform.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hamal/block/block_reader.hpp"
#include "hamal/block/endpoint.hpp"
#include "hamal/config/config.hpp"
#include "hamal/report/log.hpp"
#include "hamal/stream/snapshot_document.hpp"
#include "hamal/stream/stream_header.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal {

struct VmDisk {
  std::string id;
  std::string label;
  std::uint64_t size = 0;  ///< bytes
  bool protectable = false;
  std::string reason;  ///< why not protectable, or how changes are tracked
  // In the platform's words; empty where it has none.
  std::string datastore = {};
  std::string backing = {};  ///< the kind of what it lies in
  std::string mode = {};     ///< whether snapshots hold it
  std::string sharing = {};  ///< with other vms
};

struct Vm {
  std::string id;
  std::string name;
  std::string power;  ///< running, stopped, unknown
  std::vector<VmDisk> disks;
  std::string host = {};           ///< where it runs; empty: the platform has no hosts
  std::optional<bool> tracking{};  ///< whether the platform tracks its changes; nullopt: no switch
};

struct SnapshotInfo {
  std::string id;
  std::string vm_id;
  std::string created;  ///< RFC 3339, empty when the platform does not say
  std::string state;    ///< "held" (readable now) or "base" (only marks where changes count from)
  bool ours = false;    ///< carries this installation's mark
};

enum class Quiesce { no, try_to, require };
enum class Offline { no, yes };
enum class Outcome { committed, failed };

struct SnapshotOptions {
  Quiesce quiesce = Quiesce::no;
  /// The operator guarantees that nothing writes to the image: needed where the platform cannot
  /// freeze it.
  Offline offline = Offline::no;
  /// Ids of the disks to take; empty: all protectable ones.
  std::vector<std::string> disks;
  /// Of a repository: the version (its generation); empty: the newest.
  std::string at{};
};

/// What changed on one disk, or all that is allocated.
struct Changes {
  SyncMode mode = SyncMode::full;
  std::string reason;  ///< of the mode, for people
  ExtentSourcePtr extents;
  /// Where the platform knows several ways to read a disk: the one that was chosen, and why.
  std::string read_by = {};
  std::string read_by_reason = {};
};

/// What a platform needs of the installation. References outlive the platform.
struct PlatformContext {
  const Config& config;
  Logger& log;
  const CancelToken& cancel;
  /// 8 hexadecimal digits of this installation's id: the mark on everything we create (rule 8).
  std::string mark;
};

/// Not thread-safe: one thread per object; several objects and processes may work side by side on
/// different vms. Errors: hamal::Error. Calls that create leave nothing behind when they throw.
class Platform {
 public:
  virtual ~Platform() = default;
  virtual std::vector<Vm> vms() = 0;
  /// Freezes all chosen disks of the vm at one point in time. `vm` is an id or a name.
  virtual SnapshotDocument create_snapshot(const std::string& vm,
                                           const SnapshotOptions& options) = 0;
  virtual std::vector<SnapshotInfo> list_snapshots(const std::string& vm) = 0;
  /// Ends a snapshot. Committed: changes before it are not needed any more, except those since any
  /// change id of `still_needed` (of other targets' checkpoints). Failed: everything that the next
  /// run needs stays. May be repeated.
  virtual void finish_snapshot(const SnapshotDocument& document, Outcome outcome,
                               const std::vector<std::string>& still_needed) = 0;
  /// Ends a snapshot by its id, as finish(failed) does, without its document (a lost run). May be
  /// repeated; never touches what does not carry our mark.
  virtual void delete_snapshot(const std::string& vm, const std::string& snapshot_id) = 0;
  /// Those of our bases (SnapshotInfo::state) that no change id of `needed` counts from: what a
  /// checkpoint that was forgotten leaves; never the newest of a disk, which a checkpoint elsewhere
  /// may count from. `needed` are those this host knows of. None where we keep no bases.
  virtual std::vector<std::string> unneeded_bases(const std::string& vm,
                                                  const std::vector<std::string>& needed) {
    static_cast<void>(vm);
    static_cast<void>(needed);
    return {};
  }
  /// Ends one of them. May be repeated; never touches what does not carry our mark.
  virtual void delete_base(const std::string& vm, const std::string& snapshot_id) {
    static_cast<void>(vm);
    static_cast<void>(snapshot_id);
  }
  /// Whether finish_snapshot() and delete_snapshot() succeed for a vm that is gone, by its id, and
  /// list_snapshots() has those that are left: none where a vm takes its snapshots with it.
  virtual bool ends_without_vm() const noexcept { return false; }
  /// Why no snapshot of the vm may be held between two runs now, as a store that fills up; empty:
  /// it may.
  virtual std::string why_not_to_hold(const std::string& vm_id) {
    static_cast<void>(vm_id);
    return {};
  }
  /// What changed on one disk of a snapshot since `base` (a change id; empty: full). When the base
  /// cannot be used the answer is a full with the reason (rule 4). The reader is one of
  /// open_reader()'s or of the same source.
  virtual Changes changed_extents(const SnapshotDocument& document, const SnapshotDisk& disk,
                                  const std::string& base) = 0;
  /// Opens the frozen disk. The document may be rebuilt from a stream header (id, size and source
  /// are enough).
  virtual std::unique_ptr<BlockReader> open_reader(const SnapshotDisk& disk) = 0;
  /// Rule 7: throws a transient Error unless the snapshot that was read is still what it was.
  virtual void verify_snapshot(const std::string& vm_id, const std::string& snapshot_id,
                               const SnapshotDisk& disk) = 0;
};

/// Whether that name stands for a repository: its endpoint, or a section of type repository. Its
/// snapshots, the versions, are always there: nothing is created or held.
bool is_repository_platform(const Config& config, const std::string& name);

/// The [platform NAME] section's platform, or an ad-hoc one when `name` is a type word (file, nbd,
/// rbd) or a repository's endpoint. Throws Error(usage) naming the sections there are.
std::unique_ptr<Platform> open_platform(const std::string& name, const PlatformContext& context);

}  // namespace hamal
