// What we durably know: checkpoints, snapshots of ours, this installation's id (hamal(7), STATE).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hamal/config/config.hpp"
#include "hamal/extent/extent.hpp"
#include "hamal/state/lease.hpp"
#include "hamal/state/state_dump.hpp"
#include "hamal/state/task_state.hpp"
#include "hamal/stream/stream_header.hpp"

namespace hamal {

/// The key of everything that is known of a disk on a target.
struct DiskIdentity {
  std::string platform;  ///< NAME
  std::string vm_id;
  std::string disk_id;
  std::string target;  ///< canonical
  friend bool operator==(const DiskIdentity&, const DiskIdentity&) = default;
};

/// What is durably on the target.
struct Checkpoint {
  DiskIdentity identity;
  std::string vm_name;
  std::string change_id;  ///< empty: the next run is a full
  std::string snapshot_id;
  std::uint64_t generation = 0;
  std::uint64_t size = 0;  ///< bytes
  std::string committed;   ///< RFC 3339
  std::string target_uri;  ///< as the operator wrote it
  /// The samples by which the target is known again (sync/disk_flag.hpp); empty: none were taken.
  std::string disk_flag;
  /// RFC 3339, when the operator gave the target away (`hamal-sync release`); empty: it is ours.
  std::string released;
  /// The proxy that committed it (LeaseOwner::proxy); empty: not known.
  std::string proxy = {};
};

/// A run that has begun to change a target in place and has not committed (rule 2).
struct InProgress {
  DiskIdentity identity;
  SyncMode mode = SyncMode::full;
  std::string base_change_id;
  std::string change_id;
  std::string snapshot_id;
  std::string plan_path;  ///< the planned delta, spooled
  std::string started;    ///< RFC 3339
  /// The run that made the mark created the target: what it did not write reads as zeros.
  bool target_created = false;
  /// What of the plan is durably on the target: ranges of the disk, sorted and merged, each as an
  /// extent whose kind means nothing.
  std::vector<Extent> finished;
  /// The clone of the target as its checkpoint describes it (target/restore_clone.hpp); empty:
  /// there is none, and the target cannot be rolled back.
  std::string restore_path;
  /// The proxy whose run made the mark; empty: not known.
  std::string proxy = {};
};

struct SnapshotRecord {
  std::string platform;
  std::string vm_id;
  std::string snapshot_id;
  std::string state;     ///< intended, created
  std::string created;   ///< RFC 3339
  std::string document;  ///< JSON, once created
};

/// What a job made of one vm, last.
struct RunRecord {
  std::string job;
  std::string platform;
  std::string vm_id;
  std::string vm_name;
  std::string state;  ///< running, done, failed, busy or interrupted
  std::string run_id;
  std::string started;            ///< RFC 3339, of the last run
  std::string ended;              ///< RFC 3339; empty while it runs
  std::string last_success;       ///< RFC 3339, when that run began: what it holds is not older
  std::string mode;               ///< of the last success: full, incremental, or full+incremental
  std::uint64_t bytes = 0;        ///< read by the last success
  std::uint64_t duration_ms = 0;  ///< of the last success
  std::uint64_t failures = 0;     ///< since the last success
  std::string last_error;         ///< empty after a success
  std::string next_run;           ///< RFC 3339
};

/// One open database. Every call is one transaction, durable on return. Not thread-safe; several
/// processes may work on one database. Errors: hamal::Error; a database locked too long is
/// transient, a corrupt one says so. A server that goes away is waited for, for a while. What
/// belongs to a machine is written under its fence, where there is one (LeaseState::fence).
class State {
 public:
  virtual ~State() = default;
  /// Whether other hosts may work on it at the same time.
  virtual bool shared() const noexcept = 0;
  /// Random, made once: the mark on what we create is its first 8 hexadecimal digits.
  virtual std::string installation_id() = 0;
  /// 32 random bytes in hexadecimal, made once: the key of the hashes in disk flags. It never
  /// leaves the state.
  virtual std::string disk_flag_key() = 0;

  virtual std::optional<Checkpoint> find_checkpoint(const DiskIdentity& identity) = 0;
  virtual std::vector<Checkpoint> list_checkpoints() = 0;
  /// Inserts or replaces, removes the in-progress mark: one transaction. The generation must be one
  /// more than the stored one, and no other disk may be known on the target by now: else
  /// Error(busy).
  virtual void commit_checkpoint(const Checkpoint& checkpoint) = 0;
  /// Replaces what is known here of a target that knows its own checkpoint (a repository),
  /// whatever the generations.
  virtual void cache_checkpoint(const Checkpoint& checkpoint) = 0;
  /// True when there was one (or a mark).
  virtual bool forget_checkpoint(const DiskIdentity& identity) = 0;

  virtual std::optional<InProgress> find_in_progress(const DiskIdentity& identity) = 0;
  virtual std::vector<InProgress> list_in_progress() = 0;
  /// The target is this disk's from here on: what was known of the disks that are given up for it
  /// is forgotten. Throws Error(busy), and changes nothing, when another one is known there (it
  /// came meanwhile, perhaps by another host), or when one of them is being worked on under a
  /// lease.
  virtual void mark_in_progress(const InProgress& mark,
                                const std::vector<DiskIdentity>& given_up) = 0;
  /// Replaces what of the plan is finished, after the target was flushed (rule 3). Throws
  /// Error(busy) when there is no mark: somebody forgot it under the run.
  virtual void record_finished(const DiskIdentity& identity,
                               const std::vector<Extent>& finished) = 0;
  /// The target is at its checkpoint again (rule 12): the mark goes, the checkpoint stays. False
  /// when there is no mark.
  virtual bool clear_in_progress(const DiskIdentity& identity) = 0;
  /// The target was given away (a replica is booted): the next run is a full. False when there is
  /// no checkpoint. A commit ends it.
  virtual bool release_target(const DiskIdentity& identity, const std::string& when) = 0;

  virtual void put_snapshot(const SnapshotRecord& record) = 0;
  virtual void remove_snapshot(const std::string& platform, const std::string& snapshot_id) = 0;
  virtual std::vector<SnapshotRecord> list_snapshots() = 0;

  /// Inserts or replaces by job, platform and vm_id.
  virtual void put_run(const RunRecord& run) = 0;
  virtual void remove_run(const RunRecord& run) = 0;
  virtual std::optional<RunRecord> find_run(const std::string& job, const std::string& platform,
                                            const std::string& vm_id) = 0;
  /// Ordered by job, platform and vm_name.
  virtual std::vector<RunRecord> list_runs() = 0;

  /// All that can be moved to another database, as of one moment.
  virtual StateDump dump() = 0;
  /// Into a state that has nothing: else throws Error(failed), and nothing has changed.
  virtual void load(const StateDump& dump) = 0;

  /// Both live as long as the state.
  virtual TaskState& tasks() = 0;
  virtual LeaseState& leases() = 0;
};

/// Opens the database, whose tables are made or migrated. `connection` is [database] connection:
/// sqlite:///PATH (created when it is not there; directories 0700, file 0600) or postgresql://…,
/// with `password` unless the URL has one. Throws Error(usage) for what is refused for good
/// (another scheme, a wrong password, no such database), Error(failed) for a database of a newer
/// version or a corrupt one; a server that cannot be reached or is a standby is a transient one.
std::unique_ptr<State> open_state(const std::string& connection, const std::string& password = {});
/// That of the configuration, with its password.
std::unique_ptr<State> open_state(const Config& config);

}  // namespace hamal
