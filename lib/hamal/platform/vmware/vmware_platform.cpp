// Each call asks the server anew what the vm, its snapshots and its disks are: other processes and
// people work on them too. What a snapshot is comes from its own configuration, never from the
// vm's, which has moved on: key, size and change id of a disk.
//
// A snapshot's change id stays valid when the snapshot is gone, so nothing of ours is left on the
// server between runs.
#include "hamal/platform/vmware/vmware_platform.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <tuple>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/sources.hpp"
#include "hamal/platform/vmware/change_id.hpp"
#include "hamal/platform/vmware/changed_areas.hpp"
#include "hamal/platform/vmware/datastores.hpp"
#include "hamal/platform/vmware/disk_reader.hpp"
#include "hamal/platform/vmware/events.hpp"
#include "hamal/platform/vmware/lineage.hpp"
#include "hamal/platform/vmware/settings.hpp"
#include "hamal/platform/vmware/snapshot_maker.hpp"
#include "hamal/platform/vmware/snapshots.hpp"
#include "hamal/util/error.hpp"

namespace hamal::vmware {
namespace {

Settings with_proxy(Settings settings, const Config& config) {
  constexpr std::chrono::minutes k_wait{10};
  settings.endpoint.mappings = config.host_mappings;
  settings.endpoint.sessions = {
      .lib_dir = config.defaults.hamal_lib_dir, .most = settings.max_sessions, .wait = k_wait};
  return settings;
}

/// What a run must not see change.
struct Place {
  std::string where;  ///< host and file: what vMotion and Storage vMotion change
  std::string disks;  ///< of the vm: what a reconfiguration changes
};

class VmwarePlatform final : public Platform {
 public:
  VmwarePlatform(Settings settings, const PlatformContext& context)
      : m_settings(with_proxy(std::move(settings), context.config)),
        m_context(context),
        m_client(std::make_shared<VimClient>(m_settings.endpoint, context.cancel)),
        m_slots(std::filesystem::path(context.config.defaults.hamal_lib_dir) / "vddk",
                m_settings.vddk.wait, context.log, context.cancel) {}

  std::vector<Vm> vms() override;
  SnapshotDocument create_snapshot(const std::string& vm, const SnapshotOptions& options) override;
  std::vector<SnapshotInfo> list_snapshots(const std::string& vm) override;
  void finish_snapshot(const SnapshotDocument& document, Outcome outcome,
                       const std::vector<std::string>& still_needed) override;
  void delete_snapshot(const std::string& vm, const std::string& snapshot_id) override;
  bool ends_without_vm() const noexcept override { return true; }
  std::string why_not_to_hold(const std::string& vm_id) override;
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
  std::string why_reverted(const FrozenDisk& now, const ChangeId& base);
  Changes full(const FrozenDisk& frozen, const SnapshotDisk& disk, const std::string& reason);
  ExtentSourcePtr areas(const FrozenDisk& frozen, const std::string& since);

  Settings m_settings;
  PlatformContext m_context;
  std::shared_ptr<VimClient> m_client;
  VddkSlots m_slots;
  /// Where the disks were when they were first opened, by their source.
  std::map<std::string, Place> m_places;
  /// What the events say, by snapshot and mark: the same for each disk.
  std::map<std::string, RevertAnswer> m_reverts;
};

Place place_of(const FrozenDisk& frozen) {
  Place place{.where = frozen.machine.host + " " + frozen.disk.datastore + " " + frozen.disk.file,
              .disks = {}};
  for (const Disk& disk : frozen.machine.disks) {
    place.disks += disk.id() + " " + disk.uuid + ";";
  }
  return place;
}

std::vector<Vm> VmwarePlatform::vms() {
  std::vector<Vm> result;
  std::map<std::string, unsigned> having;  // of that id
  retrieve_all(*m_client, "VirtualMachine", machine_paths(), [&](const ObjectProperties& one) {
    result.push_back(describe(machine_of(one)));
    ++having[result.back().id];
  });
  std::map<std::string, std::string> hosts;
  retrieve_all(*m_client, "HostSystem", {"name"},
               [&](const ObjectProperties& one) { hosts[one.object.id] = one.text("name"); });
  for (Vm& vm : result) {
    if (const auto host = hosts.find(vm.host); host != hosts.end() && !host->second.empty()) {
      vm.host = host->second;
    }
    if (having[vm.id] > 1) {
      for (VmDisk& disk : vm.disks) {
        disk.protectable = false;
        disk.reason = fmt::format(
            "{} vms have this instance UUID: give the copies one of their own", having[vm.id]);
      }
    }
  }
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
  const auto found = seek_machine(*m_client, vm, m_settings.platform);
  if (!found && is_machine_id(vm)) {
    return {};  // it is gone, and its snapshots with it
  }
  Machine machine = found ? *found : find_machine(*m_client, vm, m_settings.platform);
  // One that is being made is none of nobody's: a run whose create() failed may have asked for it.
  Snapshots snapshots(*m_client, m_settings, m_context.log);
  if (snapshots.await_creation(machine)) {
    machine = snapshots.look(machine);
  }
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
  const auto machine = seek_machine(*m_client, vm, m_settings.platform);
  if (!machine) {
    m_context.log.warning("{}: the vm is not there any more, and its snapshot {} with it", vm,
                          snapshot_id);
    return;
  }
  try {
    Snapshots(*m_client, m_settings, m_context.log).remove(*machine, snapshot_id);
  } catch (const VimFault&) {
    // Removed while its snapshot was: nothing is left.
    if (seek_machine(*m_client, vm, m_settings.platform)) {
      throw;
    }
    m_context.log.warning("{}: the vm was removed, and its snapshot {} with it", machine->name,
                          snapshot_id);
  }
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
  // "*" does not say what is allocated in what a disk continues, nor may VDDK: also with snapshots
  // of others there, below whose layers a clone's parent lies.
  if (frozen.disk.has_parent) {
    return {SyncMode::full,
            reason +
                "; all of it is read: it continues another disk, as linked clones and disks with "
                "other snapshots do",
            whole_disk(frozen.disk.size, ExtentKind::data)};
  }
  // With snapshots of others not in their layers.
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
  changes.read_by = word_of(choice.by);
  changes.read_by_reason = choice.reason;
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
  const auto from = parse_change_id(base);
  if (!from) {
    return full(now, disk, "the base " + base + " is no change id of hamal's");
  }
  if (same_moment(*from, change_id_of(now.machine, now.snapshot, now.disk, {}))) {
    // A pipe that is run again on a held snapshot: this disk was committed at it.
    return {SyncMode::incremental, "the target is at this snapshot", empty_source()};
  }
  for (const std::string& why :
       {why_not_comparable(from->tracked, now.disk.change_id), why_reverted(now, *from)}) {
    if (!why.empty()) {
      return full(now, disk, why);
    }
  }
  ExtentSourcePtr changed = areas(now, from->tracked);
  if (!changed) {
    return full(now, disk, "vSphere cannot tell what changed since " + from->tracked);
  }
  return {SyncMode::incremental, "changes since " + from->tracked, std::move(changed)};
}

/// Empty: it was not, as far as can be told. Where a revert could have brought back what was before
/// the base, that must be told.
std::string VmwarePlatform::why_reverted(const FrozenDisk& now, const ChangeId& base) {
  if (std::string why = why_not_descended(now.machine, now.snapshot, base); !why.empty()) {
    return why;
  }
  const std::string key = fmt::format("{} {}", now.snapshot.object.id, base.before.key);
  auto known = m_reverts.find(key);
  if (known == m_reverts.end()) {
    known = m_reverts.emplace(key, reverted_since(*m_client, now.machine, base.before)).first;
  }
  const RevertAnswer& answer = known->second;
  if (answer.reverted != Reverted::unknown) {
    return answer.words;
  }
  if (base.others > 0) {
    return fmt::format(
        "the vm had other snapshots at the base, and whether it was reverted to one since is not "
        "known: {}",
        answer.words);
  }
  if (base.tracked == now.disk.change_id) {
    return "vSphere gives the base's change id to another snapshot, and whether the vm was "
           "reverted "
           "is not known: " +
           answer.words;
  }
  // What it may have been reverted to was made after the base, and holds all that the base held.
  m_context.log.info("{}: whether it was reverted since the base is not known: {}",
                     now.machine.name, answer.words);
  return {};
}

std::string VmwarePlatform::why_not_to_hold(const std::string& vm_id) {
  const auto machine = seek_machine(*m_client, vm_id, m_settings.platform);
  return machine ? why_low(*m_client, machine->disks, m_settings.datastore_min_free, m_context.log)
                 : std::string();
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
  // Of the first time: a reader that is opened again after an outage must not hide a move.
  m_places.emplace(disk.source, place_of(now));
  return open_disk_reader(m_client, m_settings, now, disk.source, m_slots, m_context);
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
  const auto then = parse_change_id(disk.change_id);
  const ChangeId here_id = change_id_of(now.machine, now.snapshot, now.disk, {});
  if (!disk.change_id.empty() && (!then || !same_moment(*then, here_id))) {
    lost("the snapshot's change id is another one now");
  }
  const auto place = m_places.find(disk.source);
  if (place == m_places.end()) {
    return;
  }
  const Place here = place_of(now);
  if (place->second.where != here.where) {
    lost("the vm was moved to another host or datastore while it was read");
  }
  if (place->second.disks != here.disks) {
    lost("the vm was reconfigured while it was read: its disks are others now");
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
