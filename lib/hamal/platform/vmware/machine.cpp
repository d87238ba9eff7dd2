#include "hamal/platform/vmware/machine.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <map>

#include "hamal/extent/validate.hpp"
#include "hamal/util/error.hpp"

namespace hamal::vmware {
namespace {

/// The backings whose type has a change id.
constexpr std::array<std::string_view, 5> k_tracked_backings{
    "VirtualDiskFlatVer2BackingInfo", "VirtualDiskSparseVer2BackingInfo",
    "VirtualDiskSeSparseBackingInfo", "VirtualDiskRawDiskMappingVer1BackingInfo",
    "VirtualDiskRawDiskVer2BackingInfo"};

void add_snapshots(const XmlElement& tree, const std::string& parent, std::vector<Snapshot>& into) {
  const XmlElement* const object = tree.find("snapshot");
  if (object != nullptr) {
    into.push_back({.object = object->reference(),
                    .name = tree.text_of("name"),
                    .description = tree.text_of("description"),
                    .created = tree.text_of("createTime"),
                    .parent = parent});
  }
  for (const XmlElement& child : tree.children) {
    if (child.name == "childSnapshotList") {
      add_snapshots(child, object == nullptr ? parent : object->text, into);
    }
  }
}

Disk disk_of(const XmlElement& device, const std::map<std::int64_t, std::string>& buses) {
  Disk disk;
  disk.key = static_cast<std::int32_t>(device.number("key").value_or(0));
  if (const XmlElement* const info = device.find("deviceInfo")) {
    disk.label = info->text_of("label");
  }
  // Servers before vSphere 5.5 do not tell the bytes.
  constexpr std::int64_t k_most_kib = std::numeric_limits<std::int64_t>::max() / 1024;
  const std::int64_t kib = device.number("capacityInKB").value_or(-1);
  const std::int64_t bytes =
      device.number("capacityInBytes").value_or(kib < 0 || kib > k_most_kib ? -1 : kib * 1024);
  if (bytes < 0) {
    throw Error(ErrorKind::failed, "the server says that its size is " + std::to_string(bytes),
                "disk " + disk.id());
  }
  disk.size = static_cast<std::uint64_t>(bytes);
  const auto bus = buses.find(device.number("controllerKey").value_or(-1));
  disk.shared_bus = bus == buses.end() ? std::string() : bus->second;
  const XmlElement* const backing = device.find("backing");
  if (backing == nullptr) {
    return disk;
  }
  disk.backing = backing->type;
  disk.file = backing->text_of("fileName");
  disk.mode = backing->text_of("diskMode");
  disk.sharing = backing->text_of("sharing");
  disk.compatibility = backing->text_of("compatibilityMode");
  disk.change_id = backing->text_of("changeId");
  disk.datastore = backing->text_of("datastore");
  disk.uuid = backing->text_of("uuid");
  disk.encrypted = backing->find("keyId") != nullptr;
  disk.has_parent = backing->find("parent") != nullptr;
  return disk;
}

std::string power_word(const std::string& power) {
  if (power == "poweredOn") {
    return "running";
  }
  return power == "poweredOff" || power == "suspended" ? "stopped" : "unknown";
}

int hardware_version(const std::string& version) {
  constexpr std::string_view k_prefix = "vmx-";
  int number = 0;
  if (version.starts_with(k_prefix)) {
    std::from_chars(version.data() + k_prefix.size(), version.data() + version.size(), number);
  }
  return number;
}

}  // namespace

bool Disk::can_be_tracked() const {
  return std::find(k_tracked_backings.begin(), k_tracked_backings.end(), backing) !=
         k_tracked_backings.end();
}

std::vector<std::string> machine_paths() {
  return {"name",
          "config.instanceUuid",
          "config.version",
          "config.template",
          "config.changeVersion",
          "config.changeTrackingEnabled",
          "config.hardware.device",
          "capability.changeTrackingSupported",
          "runtime.powerState",
          "runtime.connectionState",
          "runtime.host",
          "runtime.consolidationNeeded",
          "snapshot",
          "recentTask"};
}

std::vector<Disk> disks_of(const XmlElement& devices) {
  std::map<std::int64_t, std::string> buses;
  for (const XmlElement& device : devices.children) {
    if (const XmlElement* const shared = device.find("sharedBus")) {
      buses[device.number("key").value_or(-1)] = shared->text;
    }
  }
  std::vector<Disk> disks;
  for (const XmlElement& device : devices.children) {
    if (device.type == "VirtualDisk") {
      disks.push_back(disk_of(device, buses));
    }
  }
  return disks;
}

Machine machine_of(const ObjectProperties& properties) {
  Machine machine;
  machine.object = properties.object;
  machine.name = properties.text("name");
  machine.id = properties.text("config.instanceUuid");
  if (machine.id.empty()) {
    machine.id = machine.object.id;
  }
  machine.power = properties.text("runtime.powerState");
  machine.connection = properties.text("runtime.connectionState");
  machine.host = properties.text("runtime.host");
  machine.version = properties.text("config.version");
  machine.change_version = properties.text("config.changeVersion");
  machine.is_template = properties.flag("config.template").value_or(false);
  machine.tracking = properties.flag("config.changeTrackingEnabled").value_or(false);
  machine.tracking_supported = properties.flag("capability.changeTrackingSupported").value_or(true);
  machine.consolidation_needed = properties.flag("runtime.consolidationNeeded").value_or(false);
  if (const XmlElement* const devices = properties.find("config.hardware.device")) {
    machine.readable = true;
    machine.disks = disks_of(*devices);
  }
  if (const XmlElement* const info = properties.find("snapshot")) {
    for (const XmlElement& root : info->children) {
      if (root.name == "rootSnapshotList") {
        add_snapshots(root, {}, machine.snapshots);
      }
    }
  }
  if (const XmlElement* const tasks = properties.find("recentTask")) {
    for (const XmlElement& task : tasks->children) {
      machine.recent_tasks.push_back(task.reference());
    }
  }
  return machine;
}

std::string why_unprotectable(const Machine& machine, const Disk& disk) {
  if (machine.is_template) {
    return "the vm is a template, of which no snapshot can be made";
  }
  if (!machine.connection.empty() && machine.connection != "connected") {
    return "the vm's host knows nothing of it now: " + machine.connection;
  }
  if (disk.mode.starts_with("independent")) {
    return "independent (" + disk.mode + "): snapshots leave it out";
  }
  if (disk.compatibility == "physicalMode") {
    return "a raw device in physical mode: snapshots leave it out";
  }
  if (disk.sharing == "sharingMultiWriter") {
    return "shared by several writers (multi-writer): no snapshot can be made";
  }
  if (!disk.shared_bus.empty() && disk.shared_bus != "noSharing") {
    return "on a controller with a shared bus (" + disk.shared_bus + "): no snapshot can be made";
  }
  if (disk.size > k_max_disk_size) {
    return "too large";
  }
  return {};
}

std::string why_untracked(const Machine& machine, const Disk& disk) {
  if (!machine.tracking_supported) {
    return "the vm supports no change tracking";
  }
  if (const int version = hardware_version(machine.version); version > 0 && version < 7) {
    return "virtual hardware " + machine.version + " knows no change tracking (7 and up do)";
  }
  if (!disk.can_be_tracked()) {
    return "disks of the backing " + disk.backing + " have no change ids";
  }
  if (!machine.tracking) {
    return "change tracking is off in the vm";
  }
  return {};
}

namespace {

/// "FlatVer2" of VirtualDiskFlatVer2BackingInfo.
std::string short_backing(std::string backing) {
  constexpr std::string_view k_before = "VirtualDisk";
  constexpr std::string_view k_after = "BackingInfo";
  if (backing.starts_with(k_before)) {
    backing.erase(0, k_before.size());
  }
  if (backing.ends_with(k_after)) {
    backing.resize(backing.size() - k_after.size());
  }
  return backing;
}

std::string datastore_name(const std::string& file) {
  const std::size_t close = file.find(']');
  return file.starts_with('[') && close != std::string::npos ? file.substr(1, close - 1)
                                                             : std::string();
}

std::string sharing_word(const Disk& disk) {
  if (disk.sharing == "sharingMultiWriter") {
    return "multi-writer";
  }
  return disk.shared_bus.empty() || disk.shared_bus == "noSharing" ? "none" : disk.shared_bus;
}

}  // namespace

Vm describe(const Machine& machine) {
  Vm vm;
  vm.id = machine.id;
  vm.name = machine.name;
  vm.power = power_word(machine.power);
  vm.host = machine.host;
  vm.tracking = machine.tracking;
  for (const Disk& disk : machine.disks) {
    VmDisk shown{.id = disk.id(),
                 .label = disk.label,
                 .size = disk.size,
                 .reason = why_unprotectable(machine, disk),
                 .datastore = datastore_name(disk.file),
                 .backing = short_backing(disk.backing) +
                            (disk.compatibility.empty() ? "" : " " + disk.compatibility),
                 .mode = disk.mode,
                 .sharing = sharing_word(disk)};
    shown.protectable = shown.reason.empty();
    if (shown.protectable) {
      const std::string untracked = why_untracked(machine, disk);
      shown.reason =
          untracked.empty() ? "changes are tracked" : "every run is a full: " + untracked;
      if (disk.encrypted) {
        shown.reason += "; encrypted: can be read by VDDK alone";
      }
      if (!machine.snapshots.empty()) {
        shown.reason += "; the vm has " + std::to_string(machine.snapshots.size()) + " snapshot" +
                        (machine.snapshots.size() == 1 ? "" : "s");
      }
    }
    vm.disks.push_back(std::move(shown));
  }
  return vm;
}

namespace {

constexpr std::size_t k_uuid_length = 36;

bool is_uuid(const std::string& vm) {
  return vm.size() == k_uuid_length && std::count(vm.begin(), vm.end(), '-') == 4;
}

/// By the index, in one call.
std::vector<ManagedObject> by_uuid(VimClient& client, const std::string& uuid) {
  VimRequest request("FindAllByUuid", client.content().search_index);
  request.text("uuid", uuid).flag("vmSearch", true).flag("instanceUuid", true);
  const XmlElement reply = client.call(request, Repeat::yes);
  std::vector<ManagedObject> found;
  for (const XmlElement& child : reply.children) {
    if (child.name == "returnval") {
      found.push_back(child.reference());
    }
  }
  return found;
}

std::vector<ManagedObject> by_name(VimClient& client, const std::string& vm) {
  std::vector<ManagedObject> found;
  retrieve_all(client, "VirtualMachine", {"name"}, [&](const ObjectProperties& one) {
    if (one.object.id == vm || one.text("name") == vm) {
      found.push_back(one.object);
    }
  });
  return found;
}

[[noreturn]] void refuse_ambiguity(VimClient& client, const std::vector<ManagedObject>& found,
                                   const std::string& object, const std::string& platform) {
  constexpr std::size_t k_shown = 5;
  std::string names;
  for (std::size_t i = 0; i < std::min(found.size(), k_shown); ++i) {
    names += (i == 0 ? "" : ", ") + retrieve(client, found[i], {"name"}).text("name") + " (" +
             found[i].id + ")";
  }
  throw Error(ErrorKind::usage,
              std::to_string(found.size()) + " vms are called this: " + names +
                  (found.size() > k_shown ? " …" : ""),
              object,
              "name one by its object, or give the copies instance UUIDs of their own: "
              "hamal-snapshot vms " +
                  platform + " lists them");
}

}  // namespace

bool is_machine_id(const std::string& vm) {
  constexpr std::string_view k_object = "vm-";
  return is_uuid(vm) || (vm.starts_with(k_object) && vm.size() > k_object.size() &&
                         vm.find_first_not_of("0123456789", k_object.size()) == std::string::npos);
}

std::optional<Machine> seek_machine(VimClient& client, const std::string& vm,
                                    const std::string& platform) {
  std::vector<ManagedObject> found;
  if (is_uuid(vm)) {
    found = by_uuid(client, vm);
  }
  if (found.empty()) {
    found = by_name(client, vm);
  }
  if (found.size() > 1) {
    refuse_ambiguity(client, found, platform + ":" + vm, platform);
  }
  if (found.empty()) {
    return std::nullopt;
  }
  try {
    return machine_of(retrieve(client, found.front(), machine_paths()));
  } catch (const VimFault& fault) {
    if (fault.fault() != "ManagedObjectNotFound") {
      throw;
    }
    return std::nullopt;  // removed between two calls
  }
}

Machine find_machine(VimClient& client, const std::string& vm, const std::string& platform) {
  std::optional<Machine> found = seek_machine(client, vm, platform);
  if (!found) {
    throw Error(ErrorKind::usage, "no such vm", platform + ":" + vm,
                "hamal-snapshot vms " + platform + " lists those that the user may see");
  }
  return std::move(*found);
}

}  // namespace hamal::vmware
