// What Nova and Cinder say of a server: its disks, and whether they can be protected.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "hamal/platform/openstack/client.hpp"
#include "hamal/platform/openstack/settings.hpp"
#include "hamal/platform/platform.hpp"

namespace hamal::openstack {

enum class DiskKind {
  volume,  ///< Cinder's
  nova,    ///< kept by Nova itself, and gone with the server: in Ceph when Nova is set up so
};

struct Disk {
  DiskKind kind = DiskKind::volume;
  std::string id;      ///< the volume's; "disk" and "disk.eph0" for Nova's
  std::string device;  ///< "/dev/vdb"; empty: not known
  std::uint64_t size = 0;
  std::optional<Volume> volume;                ///< empty: the user cannot see it
  std::optional<VolumeConnection> connection;  ///< how its hypervisor reaches it
  bool shared = false;                         ///< attached to other servers too
};

struct Machine {
  Server server;
  std::vector<Disk> disks;  ///< in the order of their devices, Nova's root disk first
};

/// Whether the text is an id of a server or a volume, by its form.
bool is_uuid(const std::string& text);
/// All servers of the project.
std::vector<Machine> all_machines(Client& client);
/// The one with that id, or that name. Throws Error(usage) when there is none, or several of that
/// name.
Machine find_machine(Client& client, const std::string& vm, const std::string& platform);
/// From what the services said of it.
Machine machine_of(Server server, const std::vector<Volume>& volumes,
                   const std::vector<Attachment>& attachments);

/// As Platform::vms() has it.
Vm describe(const Machine& machine, const Settings& settings);
/// Why a snapshot of the server would not hold this disk; empty: it can be protected.
std::string why_unprotectable(const Machine& machine, const Disk& disk, const Settings& settings);
/// For people: "root (bootable), from the image debian-12".
std::string label_of(const Disk& disk);
/// What whoever builds the machine again wants to know, as JSON.
std::string hardware_of(const Machine& machine);

}  // namespace hamal::openstack
