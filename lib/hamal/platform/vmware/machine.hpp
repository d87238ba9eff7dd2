// What the server says of a vm: its disks, its snapshots, and what can be done with them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hamal/platform/platform.hpp"
#include "hamal/platform/vmware/properties.hpp"

namespace hamal::vmware {

/// A VirtualDisk among the devices of a vm or of a snapshot's configuration.
struct Disk {
  std::int32_t key = 0;
  std::string label;
  std::uint64_t size = 0;     ///< bytes
  std::string backing;        ///< its type: "VirtualDiskFlatVer2BackingInfo"
  std::string file;           ///< "[datastore] folder/name.vmdk"
  std::string mode;           ///< persistent, independent_persistent …
  std::string sharing;        ///< empty, sharingNone or sharingMultiWriter
  std::string shared_bus;     ///< of its controller; noSharing, or how the bus is shared
  std::string compatibility;  ///< of a raw device: physicalMode or virtualMode
  std::string change_id;      ///< of a snapshot's disk; empty: not tracked
  std::string datastore;      ///< its id
  std::string uuid;           ///< of its backing; empty where that has none
  bool encrypted = false;
  /// Its backing continues another disk: of a snapshot before it, or of a linked clone's template.
  bool has_parent = false;

  std::string id() const { return std::to_string(key); }
  /// Whether a disk of this backing can have a change id at all.
  bool can_be_tracked() const;
};

struct Snapshot {
  ManagedObject object;
  std::string name;
  std::string description;
  std::string created;   ///< as the server writes it
  std::string parent{};  ///< the id of the snapshot it was made on; empty: of none
};

struct Machine {
  ManagedObject object;
  std::string id;  ///< its instance UUID, which stays with it; the object's id when it has none
  std::string name;
  std::string power;       ///< of the server: poweredOn, poweredOff, suspended
  std::string connection;  ///< connected, or why its host knows nothing of it
  std::string host;        ///< its host's id
  std::string version;     ///< of its virtual hardware: vmx-14
  bool is_template = false;
  bool tracking = false;  ///< changeTrackingEnabled
  bool tracking_supported = true;
  bool consolidation_needed = false;
  bool readable = false;       ///< false: its configuration could not be read
  std::string change_version;  ///< of its configuration: another after each change
  std::vector<Disk> disks;
  std::vector<Snapshot> snapshots;  ///< parents before their children
  std::vector<ManagedObject> recent_tasks;
};

/// The paths that machine_of() understands. List: what an inventory of all vms needs.
std::vector<std::string> machine_paths();
/// Throws Error for values that are none.
Machine machine_of(const ObjectProperties& properties);
/// Those of a device list (config.hardware.device), in its order.
std::vector<Disk> disks_of(const XmlElement& devices);

/// As Platform::vms() has it.
Vm describe(const Machine& machine);
/// Why a snapshot of the vm would not hold this disk, or it may not be read then; empty: it can be
/// protected.
std::string why_unprotectable(const Machine& machine, const Disk& disk);
/// Why no change id can be expected of it as the vm is now; empty: it is tracked.
std::string why_untracked(const Machine& machine, const Disk& disk);

/// Whether that is how a vm's id looks (an instance UUID, or "vm-36"), and not a name alone.
bool is_machine_id(const std::string& vm);
/// The one vm with that id, object id ("vm-36") or name; nullopt: there is none. Throws
/// Error(usage) that names them when there are several: copied by hand they share their instance
/// UUID.
std::optional<Machine> seek_machine(VimClient& client, const std::string& vm,
                                    const std::string& platform);
/// The same; throws Error(usage) when there is none.
Machine find_machine(VimClient& client, const std::string& vm, const std::string& platform);

}  // namespace hamal::vmware
