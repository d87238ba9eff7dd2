// Each call asks the server anew what the vm, its snapshots and its disks are: other processes and
// people work on them too. What a snapshot is comes from its own configuration, never from the
// vm's, which has moved on: key, size and change id of a disk.
//
// A snapshot's change id stays valid when the snapshot is gone, so nothing of ours is left on the
// server between runs.
#include "hamal/platform/vmware/vmware_platform.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/sources.hpp"
#include "hamal/platform/vmware/changed_areas.hpp"
#include "hamal/platform/vmware/disk_reader.hpp"
#include "hamal/platform/vmware/settings.hpp"
#include "hamal/platform/vmware/snapshot_maker.hpp"
#include "hamal/platform/vmware/snapshots.hpp"
#include "hamal/util/error.hpp"

namespace hamal::vmware {
namespace {

class VmwarePlatform final : public Platform {
 public:
  VmwarePlatform(Settings settings, const PlatformContext& context)
      : m_settings(std::move(settings)),
        m_context(context),
        m_client(std::make_shared<VimClient>(m_settings.endpoint, context.cancel)) {}

  std::vector<Vm> vms() override;
  SnapshotDocument create_snapshot(const std::string& vm, const SnapshotOptions& options) override;
  std::vector<SnapshotInfo> list_snapshots(const std::string& vm) override;
  void finish_snapshot(const SnapshotDocument& document, Outcome outcome,
                       const std::vector<std::string>& still_needed) override;
  void delete_snapshot(const std::string& vm, const std::string& snapshot_id) override;
  Changes changed_extents(const SnapshotDocument& document, const SnapshotDisk& disk,
                          const std::string& base) override;
  std::unique_ptr<BlockReader> open_reader(const SnapshotDisk& disk) override;
  void verify_snapshot(const std::string& vm_id, const std::string& snapshot_id,
                       const SnapshotDisk& disk) override;

 private:
  void check_own(const std::string& snapshot_id) const;
  void check_readable(const SnapshotDisk& disk);
  FrozenDisk frozen(const std::string& vm, const std::string& snapshot_id,
                    const std::string& disk_id);
  Changes changes_of(const FrozenDisk& now, const SnapshotDisk& disk, const std::string& base);
  Changes full(const FrozenDisk& frozen, const SnapshotDisk& disk, const std::string& reason);
  ExtentSourcePtr areas(const FrozenDisk& frozen, const std::string& since);

  Settings m_settings;
  PlatformContext m_context;
  std::shared_ptr<VimClient> m_client;
  /// Where the disks that were opened lay then, by their source.
  std::map<std::string, std::string> m_places;
};

/// Host and file: what vMotion and Storage vMotion change.
std::string place_of(const FrozenDisk& frozen) {
  return frozen.machine.host + " " + frozen.disk.datastore + " " + frozen.disk.file;
}

std::vector<Vm> VmwarePlatform::vms() {
  std::vector<Vm> result;
  retrieve_all(*m_client, "VirtualMachine", machine_paths(),
               [&](const ObjectProperties& one) { result.push_back(describe(machine_of(one))); });
  std::sort(result.begin(), result.end(), [](const Vm& a, const Vm& b) {
    return std::tie(a.name, a.id) < std::tie(b.name, b.id);
  });
  return result;
}

SnapshotDocument VmwarePlatform::create_snapshot(const std::string& vm,
                                                 const SnapshotOptions& options) {
  const Machine machine = find_machine(*m_client, vm, m_settings.platform);
  SnapshotMaker maker(m_client, m_settings, m_context);
  SnapshotDocument document = maker.make(machine, options);
  try {
    for (const SnapshotDisk& disk : document.disks) {
      if (!disk.tracked) {
        m_context.log.warning("{}/{}: changes are not tracked: {}", machine.name, disk.id,
                              disk.untracked_reason);
      }
      check_readable(disk);
    }
  } catch (...) {
    maker.undo(machine, document.snapshot_id);
    throw;
  }
  return document;
}

std::vector<SnapshotInfo> VmwarePlatform::list_snapshots(const std::string& vm) {
  const Machine machine = find_machine(*m_client, vm, m_settings.platform);
  std::vector<SnapshotInfo> result;
  for (const Snapshot& one : machine.snapshots) {
    const std::string id = hamal_id(one);
    result.push_back({.id = id.empty() ? one.object.id : id,
                      .vm_id = machine.id,
                      .created = one.created,
                      .state = "held",
                      .ours = is_of(id, m_context.mark)});
  }
  return result;
}

void VmwarePlatform::check_readable(const SnapshotDisk& disk) {
  const Endpoint source = parse_endpoint(disk.source);
  const FrozenDisk now = frozen(source.vm, source.snapshot, source.disk);
  // Fails now and not when all is planned. VDDK takes seconds to open a disk, and is not asked.
  if (choose_reader(m_settings, now).by != ReadBy::vddk) {
    open_reader(disk);
  }
}

void VmwarePlatform::check_own(const std::string& snapshot_id) const {
  if (!is_of(snapshot_id, m_context.mark)) {
    throw Error(ErrorKind::failed, "the snapshot was not made by this installation", snapshot_id,
                "remove it with vSphere's own tools");
  }
}

void VmwarePlatform::finish_snapshot(const SnapshotDocument& document, Outcome /*outcome*/,
                                     const std::vector<std::string>& /*still_needed*/) {
  delete_snapshot(document.vm_id, document.snapshot_id);
}

void VmwarePlatform::delete_snapshot(const std::string& vm, const std::string& snapshot_id) {
  check_own(snapshot_id);
  const Machine machine = find_machine(*m_client, vm, m_settings.platform);
  Snapshots(*m_client, m_settings, m_context.log).remove(machine, snapshot_id);
}

FrozenDisk VmwarePlatform::frozen(const std::string& vm, const std::string& snapshot_id,
                                  const std::string& disk_id) {
  FrozenDisk result;
  result.machine = find_machine(*m_client, vm, m_settings.platform);
  const Snapshot* const snapshot = find_snapshot(result.machine, snapshot_id);
  if (snapshot == nullptr) {
    throw Error(ErrorKind::failed, "the snapshot " + snapshot_id + " is not there any more",
                result.machine.name, "somebody removed it: make a new one", Transience::transient);
  }
  result.snapshot = *snapshot;
  const std::vector<Disk> disks = snapshot_disks(*m_client, snapshot->object);
  const auto found = std::find_if(disks.begin(), disks.end(),
                                  [&](const Disk& one) { return one.id() == disk_id; });
  if (found == disks.end()) {
    throw Error(ErrorKind::failed, "the snapshot does not hold this disk",
                result.machine.name + "/" + disk_id, "make a new one");
  }
  result.disk = *found;
  return result;
}

ExtentSourcePtr VmwarePlatform::areas(const FrozenDisk& frozen, const std::string& since) {
  return changed_areas(m_client,
                       {.vm = frozen.machine.object,
                        .snapshot = frozen.snapshot.object,
                        .key = frozen.disk.key,
                        .size = frozen.disk.size,
                        .since = since,
                        .object = frozen.machine.name + "/" + frozen.disk.id()},
                       m_context.log);
}

Changes VmwarePlatform::full(const FrozenDisk& frozen, const SnapshotDisk& disk,
                             const std::string& reason) {
  // With snapshots of others "*" does not say what is allocated in their layers.
  if (!frozen.disk.change_id.empty() && frozen.machine.snapshots.size() == 1) {
    if (ExtentSourcePtr allocated = areas(frozen, "*")) {
      return {SyncMode::full, reason, fill_gaps(std::move(allocated), frozen.disk.size)};
    }
  }
  return {SyncMode::full, reason, open_reader(disk)->allocated()};
}

Changes VmwarePlatform::changed_extents(const SnapshotDocument& document, const SnapshotDisk& disk,
                                        const std::string& base) {
  const FrozenDisk now = frozen(document.vm_id, document.snapshot_id, disk.id);
  const ReadChoice choice = choose_reader(m_settings, now);
  Changes changes = changes_of(now, disk, base);
  // The result says so.
  changes.reason += "; " + vmware::describe(choice);
  return changes;
}

Changes VmwarePlatform::changes_of(const FrozenDisk& now, const SnapshotDisk& disk,
                                   const std::string& base) {
  if (base.empty()) {
    return full(now, disk, "no base");
  }
  if (now.disk.change_id.empty()) {
    return full(now, disk, "the snapshot has no change id of this disk");
  }
  if (base == now.disk.change_id) {
    // A pipe that is run again on a held snapshot: this disk was committed at it.
    return {SyncMode::incremental, "the target is at this snapshot", empty_source()};
  }
  if (const std::string why = why_not_comparable(base, now.disk.change_id); !why.empty()) {
    return full(now, disk, why);
  }
  ExtentSourcePtr changed = areas(now, base);
  if (!changed) {
    return full(now, disk, "vSphere cannot tell what changed since " + base);
  }
  return {SyncMode::incremental, "changes since " + base, std::move(changed)};
}

std::unique_ptr<BlockReader> VmwarePlatform::open_reader(const SnapshotDisk& disk) {
  const Endpoint source = parse_endpoint(disk.source);
  if (source.kind != EndpointKind::platform || source.platform != m_settings.platform ||
      source.snapshot.empty()) {
    throw Error(ErrorKind::usage, "not a source of the platform " + m_settings.platform,
                disk.source);
  }
  const FrozenDisk now = frozen(source.vm, source.snapshot, source.disk);
  if (now.disk.size != disk.size) {
    throw Error(ErrorKind::failed,
                fmt::format("the snapshot's disk has {} bytes, not {}", now.disk.size, disk.size),
                disk.source, "make a new snapshot");
  }
  m_places[disk.source] = place_of(now);
  return open_disk_reader(m_client, m_settings, now, disk.source, m_context);
}

void VmwarePlatform::verify_snapshot(const std::string& vm_id, const std::string& snapshot_id,
                                     const SnapshotDisk& disk) {
  const FrozenDisk now = frozen(vm_id, snapshot_id, disk.id);
  const auto lost = [&](const std::string& what) {
    throw Error(ErrorKind::failed, what, now.machine.name + "/" + disk.id, "run it again",
                Transience::transient);
  };
  if (now.disk.size != disk.size) {
    lost(fmt::format("the snapshot's disk has {} bytes now, and had {}", now.disk.size, disk.size));
  }
  if (!disk.change_id.empty() && now.disk.change_id != disk.change_id) {
    lost("the snapshot's change id is another one now");
  }
  const auto place = m_places.find(disk.source);
  if (place != m_places.end() && place->second != place_of(now)) {
    lost("the vm was moved to another host or datastore while it was read");
  }
}

}  // namespace
}  // namespace hamal::vmware

namespace hamal {

std::unique_ptr<Platform> make_vmware_platform(const std::string& name, const NamedSection& section,
                                               const PlatformContext& context) {
  return std::make_unique<vmware::VmwarePlatform>(vmware::read_settings(name, section), context);
}

}  // namespace hamal
