// Each call asks the server anew what the vm and its snapshots are: other processes and people work
// on them too.
//
// A snapshot that a checkpoint counts from stays, as the start of the next one's changes, until a
// later one is committed. What is removed then is older ones of ours that no other checkpoint names
// and that were made for no other disks: checkpoints of those are not told to us.
#include "hamal/platform/fusioncompute/fusioncompute_platform.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <tuple>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/sources.hpp"
#include "hamal/platform/fusioncompute/changed_blocks.hpp"
#include "hamal/platform/fusioncompute/disk_reader.hpp"
#include "hamal/platform/fusioncompute/inventory.hpp"
#include "hamal/platform/fusioncompute/prepared_resource.hpp"
#include "hamal/platform/fusioncompute/settings.hpp"
#include "hamal/platform/fusioncompute/snapshot_maker.hpp"
#include "hamal/util/error.hpp"

namespace hamal::fusioncompute {
namespace {

class FusionComputePlatform final : public Platform {
 public:
  FusionComputePlatform(Settings settings, const PlatformContext& context)
      : m_settings(std::move(settings)),
        m_context(context),
        m_client(std::make_shared<VrmClient>(m_settings.endpoint, context.cancel)),
        m_clusters(context.config),
        m_slots(std::filesystem::path(context.config.defaults.hamal_lib_dir) / "fusion_compute" /
                    "hosts",
                m_settings.vna.wait, context.log, context.cancel) {}

  std::vector<Vm> vms() override;
  SnapshotDocument create_snapshot(const std::string& vm, const SnapshotOptions& options) override;
  std::vector<SnapshotInfo> list_snapshots(const std::string& vm) override;
  void finish_snapshot(const SnapshotDocument& document, Outcome outcome,
                       const std::vector<std::string>& still_needed) override;
  void delete_snapshot(const std::string& vm, const std::string& snapshot_id) override;
  bool ends_without_vm() const noexcept override { return true; }
  Changes changed_extents(const SnapshotDocument& document, const SnapshotDisk& disk,
                          const std::string& base) override;
  std::unique_ptr<BlockReader> open_reader(const SnapshotDisk& disk) override;
  void verify_snapshot(const std::string& vm_id, const std::string& snapshot_id,
                       const SnapshotDisk& disk) override;

 private:
  Snapshots snapshots_of(const Machine& machine) {
    return {*m_client, m_settings, m_context.log, machine};
  }
  Machine find(const std::string& vm) { return find_machine(*m_client, vm, m_settings.platform); }
  /// Before anything is done to snapshots: a backup resource is in the way of all of that.
  void release_leftovers_of(const Machine& machine) {
    release_leftovers(*m_client, m_settings, machine.disks, m_context);
  }
  void check_own(const std::string& snapshot_id) const;
  /// Ends a snapshot of the vm by that; a vm that is not there (any more) took it with it.
  void end_at(const std::string& vm, const std::string& snapshot_id,
              const std::function<void(const Machine&)>& end);
  void finish_at(const Machine& machine, const SnapshotDocument& document, Outcome outcome,
                 const std::vector<std::string>& still_needed);
  FrozenDisk frozen(const std::string& vm, const std::string& snapshot_id,
                    const std::string& disk_id);
  FrozenDisk frozen(const SnapshotDisk& disk);
  std::unique_ptr<BlockReader> open(const FrozenDisk& frozen, const SnapshotDisk& disk);
  std::string why_full(const FrozenDisk& now, const SnapshotDisk& disk, const std::string& base);
  Changes changes_since(const std::string& base, const FrozenDisk& now, const SnapshotDisk& disk);
  Changes full(const FrozenDisk& now, const SnapshotDisk& disk, const std::string& reason);
  ExtentSourcePtr blocks(const FrozenDisk& now, std::uint64_t size, std::uint64_t since);

  Settings m_settings;
  PlatformContext m_context;
  std::shared_ptr<VrmClient> m_client;
  CephClusters m_clusters;
  HostSlots m_slots;
};

std::vector<Vm> FusionComputePlatform::vms() {
  std::vector<Vm> result;
  for (const Machine& one : list_machines(*m_client)) {
    result.push_back(describe(look(*m_client, one)));
  }
  std::sort(result.begin(), result.end(), [](const Vm& a, const Vm& b) {
    return std::tie(a.name, a.id) < std::tie(b.name, b.id);
  });
  return result;
}

SnapshotDocument FusionComputePlatform::create_snapshot(const std::string& vm,
                                                        const SnapshotOptions& options) {
  const Machine machine = find(vm);
  release_leftovers_of(machine);
  SnapshotMaker maker(m_client, m_settings, m_context);
  SnapshotDocument document = maker.make(machine, options);
  try {
    for (const SnapshotDisk& disk : document.disks) {
      if (!disk.tracked) {
        m_context.log.warning("{}/{}: changes are not tracked: {}", machine.name, disk.id,
                              disk.untracked_reason);
      }
      // Fails now and not when all is planned.
      open_reader(disk);
    }
  } catch (...) {
    maker.undo(machine, document.snapshot_id);
    throw;
  }
  return document;
}

std::vector<SnapshotInfo> FusionComputePlatform::list_snapshots(const std::string& vm) {
  const auto found = seek_machine(*m_client, vm, m_settings.platform);
  if (!found && is_machine_id(vm)) {
    return {};  // it is gone, and its snapshots with it
  }
  const Machine machine = found ? *found : find(vm);
  std::vector<SnapshotInfo> result;
  for (const Snapshot& one : snapshots_of(machine).list()) {
    const std::string id = hamal_id(one);
    result.push_back({.id = id.empty() ? one.urn : id,
                      .vm_id = machine.id(),
                      .created = one.created,
                      .state = "held",
                      .ours = is_of(id, m_context.mark)});
  }
  return result;
}

void FusionComputePlatform::check_own(const std::string& snapshot_id) const {
  if (!is_of(snapshot_id, m_context.mark)) {
    throw Error(ErrorKind::failed, "the snapshot was not made by this installation", snapshot_id,
                "remove it with FusionCompute's own pages");
  }
}

void FusionComputePlatform::end_at(const std::string& vm, const std::string& snapshot_id,
                                   const std::function<void(const Machine&)>& end) {
  check_own(snapshot_id);
  const auto gone = [&] {
    m_context.log.warning("{}: the vm is not there any more, and its snapshot {} with it", vm,
                          snapshot_id);
  };
  try {
    const auto machine = seek_machine(*m_client, vm, m_settings.platform);
    if (!machine) {
      gone();
      return;
    }
    release_leftovers_of(*machine);
    end(*machine);
  } catch (const VrmError&) {
    // Removed while its snapshot was: nothing is left.
    if (seek_machine(*m_client, vm, m_settings.platform)) {
      throw;
    }
    gone();
  }
}

void FusionComputePlatform::finish_snapshot(const SnapshotDocument& document, Outcome outcome,
                                            const std::vector<std::string>& still_needed) {
  end_at(document.vm_id, document.snapshot_id,
         [&](const Machine& machine) { finish_at(machine, document, outcome, still_needed); });
}

void FusionComputePlatform::finish_at(const Machine& machine, const SnapshotDocument& document,
                                      Outcome outcome,
                                      const std::vector<std::string>& still_needed) {
  Snapshots snapshots = snapshots_of(machine);
  std::vector<std::string> needed;
  for (const std::string& text : still_needed) {
    if (const auto id = parse_change_id(text)) {
      needed.push_back(id->snapshot_urn);
    }
  }
  const auto is_needed = [&](const Snapshot& one) {
    return std::find(needed.begin(), needed.end(), one.urn) != needed.end();
  };
  const auto is_covered = [&](const Snapshot& one) {
    const std::vector<std::string> disks = disks_in(one);
    return !disks.empty() && std::all_of(disks.begin(), disks.end(), [&](const std::string& id) {
      return std::any_of(document.disks.begin(), document.disks.end(),
                         [&](const SnapshotDisk& disk) { return disk.id == id; });
    });
  };
  const std::vector<Snapshot> all = snapshots.list();
  const Snapshot* const own = find_snapshot(all, document.snapshot_id);
  if (outcome == Outcome::failed) {
    if (own != nullptr && !is_needed(*own)) {
      snapshots.remove(document.snapshot_id);
    }
    return;
  }
  if (own == nullptr) {
    return;  // what would be removed is what the next run counts from
  }
  for (const Snapshot& one : all) {
    if (is_of(hamal_id(one), m_context.mark) && is_ancestor(all, one.urn, *own) &&
        !is_needed(one) && is_covered(one)) {
      snapshots.remove(hamal_id(one));
    }
  }
}

void FusionComputePlatform::delete_snapshot(const std::string& vm, const std::string& snapshot_id) {
  end_at(vm, snapshot_id,
         [&](const Machine& machine) { snapshots_of(machine).remove(snapshot_id); });
}

FrozenDisk FusionComputePlatform::frozen(const std::string& vm, const std::string& snapshot_id,
                                         const std::string& disk_id) {
  FrozenDisk result;
  result.machine = find(vm);
  Snapshots snapshots = snapshots_of(result.machine);
  const std::vector<Snapshot> all = snapshots.list();
  const Snapshot* const snapshot = find_snapshot(all, snapshot_id);
  const auto gone = [&](const std::string& what) {
    return Error(ErrorKind::failed, what, result.machine.name + "/" + disk_id,
                 "somebody removed it: make a new one", Transience::transient);
  };
  if (snapshot == nullptr || snapshot->status != "ready") {
    throw gone("the snapshot " + snapshot_id +
               (snapshot == nullptr ? " is not there any more" : " is " + snapshot->status));
  }
  result.snapshot = *snapshot;
  const auto disk = std::find_if(result.machine.disks.begin(), result.machine.disks.end(),
                                 [&](const Disk& one) { return one.id() == disk_id; });
  if (disk == result.machine.disks.end()) {
    throw gone("the vm has no such disk any more");
  }
  result.disk = *disk;
  const SnapshotDetail detail = snapshots.detail(*snapshot);
  const VolumeSnapshot* const volume = find_volume(detail, disk->volume_urn);
  if (volume == nullptr) {
    throw gone("the snapshot does not hold this disk");
  }
  result.volume = *volume;
  return result;
}

FrozenDisk FusionComputePlatform::frozen(const SnapshotDisk& disk) {
  const Endpoint source = parse_endpoint(disk.source);
  if (source.kind != EndpointKind::platform || source.platform != m_settings.platform ||
      source.snapshot.empty()) {
    throw Error(ErrorKind::usage, "not a source of the platform " + m_settings.platform,
                disk.source);
  }
  return frozen(source.vm, source.snapshot, source.disk);
}

ExtentSourcePtr FusionComputePlatform::blocks(const FrozenDisk& now, std::uint64_t size,
                                              std::uint64_t since) {
  return changed_blocks(m_client,
                        {.volume_uri = now.volume.volume_uri,
                         .snap_uuid = now.volume.uuid,
                         .tracking_begun = now.volume.tracking_begun,
                         .since = since,
                         .size = size,
                         .object = now.object()},
                        m_context.log);
}

Changes FusionComputePlatform::full(const FrozenDisk& now, const SnapshotDisk& disk,
                                    const std::string& reason) {
  const bool by_bitmap =
      m_settings.vna.full_by_bitmap == FullByBitmap::yes && now.volume.change_number != 0;
  if (by_bitmap) {
    return {SyncMode::full, reason + "; what getcbt says holds anything",
            fill_gaps(blocks(now, disk.size, 0), disk.size)};
  }
  return {SyncMode::full, reason, open(now, disk)->allocated()};
}

std::string FusionComputePlatform::why_full(const FrozenDisk& now, const SnapshotDisk& disk,
                                            const std::string& base) {
  if (base.empty()) {
    return "no base";
  }
  const auto from = parse_change_id(base);
  if (!from) {
    return "the base is no change id of FusionCompute";
  }
  const auto to = parse_change_id(disk.change_id);
  if (!to) {
    return "the snapshot has no change id of this disk";
  }
  if (const std::string why = why_not_comparable(*from, *to); !why.empty()) {
    return why;
  }
  const std::vector<Snapshot> all = snapshots_of(now.machine).list();
  const bool there = std::any_of(
      all.begin(), all.end(), [&](const Snapshot& one) { return one.urn == from->snapshot_urn; });
  if (!there) {
    return "the snapshot that changes count from is gone";
  }
  if (!is_ancestor(all, from->snapshot_urn, now.snapshot)) {
    return "the vm was reverted to a snapshot since the base";
  }
  // chgID alone does not tell: after a restart of the host the second one may follow the base's.
  if (now.snapshot.parent != from->snapshot_urn) {
    return "another snapshot lies between the base and this one";
  }
  return {};
}

Changes FusionComputePlatform::changed_extents(const SnapshotDocument& document,
                                               const SnapshotDisk& disk, const std::string& base) {
  const FrozenDisk now = frozen(document.vm_id, document.snapshot_id, disk.id);
  const ReadChoice choice = choose_reader(*m_client, m_settings, now);
  Changes changes = changes_since(base, now, disk);
  changes.read_by = word_of(choice.by);
  changes.read_by_reason = choice.reason;
  return changes;
}

Changes FusionComputePlatform::changes_since(const std::string& base, const FrozenDisk& now,
                                             const SnapshotDisk& disk) {
  if (!base.empty() && base == disk.change_id) {
    // A pipe that is run again on a held snapshot: this disk was committed at it.
    return {SyncMode::incremental, "the target is at this snapshot", empty_source()};
  }
  if (const std::string why = why_full(now, disk, base); !why.empty()) {
    return full(now, disk, why);
  }
  const std::uint64_t since = parse_change_id(base)->change_number;
  try {
    return {SyncMode::incremental, fmt::format("changes since chgID {}", since),
            blocks(now, disk.size, since)};
  } catch (const VrmError& error) {
    m_context.log.warning("{}: changes are not known: {}", now.object(), error.what());
    return full(now, disk, "getcbt refuses with " + error.code());
  }
}

std::unique_ptr<BlockReader> FusionComputePlatform::open(const FrozenDisk& frozen,
                                                         const SnapshotDisk& disk) {
  return open_disk_reader(m_client, m_settings, frozen, disk.size, disk.source, m_clusters, m_slots,
                          m_context);
}

std::unique_ptr<BlockReader> FusionComputePlatform::open_reader(const SnapshotDisk& disk) {
  return open(frozen(disk), disk);
}

void FusionComputePlatform::verify_snapshot(const std::string& vm_id,
                                            const std::string& snapshot_id,
                                            const SnapshotDisk& disk) {
  const FrozenDisk now = frozen(vm_id, snapshot_id, disk.id);
  const auto was = parse_change_id(disk.change_id);
  if (was && (was->snap_uuid != now.volume.uuid || was->volume_urn != now.volume.volume_urn ||
              was->snapshot_urn != now.snapshot.urn)) {
    throw Error(ErrorKind::failed, "there is another snapshot of this name", now.object(),
                "run it again", Transience::transient);
  }
}

}  // namespace
}  // namespace hamal::fusioncompute

namespace hamal {

std::unique_ptr<Platform> make_fusioncompute_platform(const std::string& name,
                                                      const NamedSection& section,
                                                      const PlatformContext& context) {
  return std::make_unique<fusioncompute::FusionComputePlatform>(
      fusioncompute::read_settings(name, section, context.config.fusion_compute), context);
}

}  // namespace hamal
