// Three lists tell everything: servers, volumes with their devices, attachments with the images
// behind them. One machine alone is asked for with what is its own.
#include "hamal/platform/openstack/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "hamal/platform/openstack/json_fields.hpp"
#include "hamal/util/nearest.hpp"
#include "hamal/util/units.hpp"

namespace hamal::openstack {
namespace {

constexpr std::uint64_t k_gib = 1ULL << 30U;
constexpr const char* k_root_disk = "disk";
constexpr const char* k_ephemeral_disk = "disk.eph0";

ApiCall list_call(Service service, const std::string& path, const std::string& what) {
  return {.service = service, .path = path, .what = what};
}

/// vda before vdb before vdaa.
bool is_before(const Disk& a, const Disk& b) {
  const auto key = [](const Disk& disk) {
    return std::tuple(disk.kind != DiskKind::nova, disk.device.empty(), disk.device.size(),
                      disk.device, disk.id);
  };
  return key(a) < key(b);
}

std::vector<Disk> disks_of_nova(const Server& server) {
  std::vector<Disk> disks;
  if (server.boots == Boots::from_image) {
    disks.push_back(
        {.kind = DiskKind::nova,
         .id = k_root_disk,
         .device = {},
         .size = static_cast<std::uint64_t>(std::max<std::int64_t>(0, server.disk_gib)) * k_gib,
         .volume = {},
         .connection = {}});
  }
  if (server.ephemeral_gib > 0) {
    disks.push_back({.kind = DiskKind::nova,
                     .id = k_ephemeral_disk,
                     .device = {},
                     .size = static_cast<std::uint64_t>(server.ephemeral_gib) * k_gib,
                     .volume = {},
                     .connection = {}});
  }
  return disks;
}

/// Cinder's list of attachments has pages and does not say so.
std::vector<Attachment> attachments_where(const std::string& condition, Client& client) {
  return client.list_by_marker(
      list_call(Service::volume, "/attachments/detail?" + condition, "list the attachments"),
      parse_attachments);
}

Machine load(Client& client, Server server) {
  std::vector<Volume> volumes;
  for (const std::string& id : server.volumes) {
    const ApiCall call =
        list_call(Service::volume, "/volumes/" + percent_encode(id), "show the volume " + id);
    try {
      volumes.push_back(parse_volume(client.call(call), client.object_of(call)));
    } catch (const Error& error) {
      if (!has_status(error, 404)) {
        throw;
      }
    }
  }
  const std::vector<Attachment> attachments =
      attachments_where("instance_id=" + percent_encode(server.id), client);
  return machine_of(std::move(server), volumes, attachments);
}

Error no_such(const std::string& vm, const std::string& platform,
              const std::vector<Server>& servers) {
  std::vector<std::string> names;
  for (const Server& one : servers) {
    names.push_back(one.name);
  }
  const std::string near = nearest_name(vm, names);
  return {ErrorKind::usage, "no server of this id or name in the project", platform + ":" + vm,
          near.empty() ? "hamal-snapshot vms " + platform + " lists them"
                       : "did you mean " + near + "?"};
}

const char* power_of(const Server& server) {
  if (server.power == 1) {
    return "running";
  }
  return server.power == 4 || server.status == "SHUTOFF" ? "stopped" : "unknown";
}

std::string why_volume_unprotectable(const Disk& disk, const Settings& settings) {
  constexpr std::array<std::string_view, 2> k_usable{"in-use", "available"};
  if (!disk.volume) {
    return "Cinder does not show this volume to the user";
  }
  const Volume& volume = *disk.volume;
  if (std::find(k_usable.begin(), k_usable.end(), volume.status) == k_usable.end()) {
    return "the volume is " + volume.status;
  }
  if (!volume.migration.empty() && volume.migration != "success" && volume.migration != "error") {
    return "the volume is being migrated";
  }
  if (disk.shared) {
    return "several servers write to the volume";
  }
  if (disk.connection) {
    return disk.connection->driver == "rbd"
               ? ""
               : "the volume is not in Ceph, it is reached by " + disk.connection->driver;
  }
  if (settings.pools.contains(volume.type) || settings.pools.contains(k_default_volume_type)) {
    return {};
  }
  return fmt::format("Cinder does not say in which pool the volume is; set pool.{} or pool.{}",
                     volume.type, k_default_volume_type);
}

}  // namespace

bool is_uuid(const std::string& text) {
  return text.size() == 36 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '-';
         });
}

Machine machine_of(Server server, const std::vector<Volume>& volumes,
                   const std::vector<Attachment>& attachments) {
  Machine machine;
  machine.disks = disks_of_nova(server);
  for (const std::string& id : server.volumes) {
    Disk disk;
    disk.id = id;
    const auto volume = std::find_if(volumes.begin(), volumes.end(),
                                     [&](const Volume& one) { return one.id == id; });
    if (volume != volumes.end()) {
      disk.volume = *volume;
      disk.size = volume->size;
      disk.shared = volume->uses.size() > 1;
      for (const VolumeUse& use : volume->uses) {
        disk.device = use.server == server.id ? use.device : disk.device;
      }
    }
    for (const Attachment& one : attachments) {
      if (one.volume == id && one.server == server.id && one.connection) {
        disk.connection = one.connection;
      }
    }
    machine.disks.push_back(std::move(disk));
  }
  std::sort(machine.disks.begin(), machine.disks.end(), is_before);
  machine.server = std::move(server);
  return machine;
}

std::vector<Machine> all_machines(Client& client) {
  std::vector<Server> servers = client.list(
      list_call(Service::compute, "/servers/detail", "list the servers"), parse_servers);
  const std::vector<Volume> volumes =
      client.list(list_call(Service::volume, "/volumes/detail", "list the volumes"), parse_volumes);
  const std::vector<Attachment> attachments = attachments_where("sort=id", client);
  // By server and by volume, or a thousand servers would take a million looks.
  std::map<std::string, std::vector<Volume>> by_server;
  for (const Volume& volume : volumes) {
    for (const VolumeUse& use : volume.uses) {
      by_server[use.server].push_back(volume);
    }
  }
  std::map<std::string, std::vector<Attachment>> attached;
  for (const Attachment& one : attachments) {
    attached[one.server].push_back(one);
  }
  std::vector<Machine> machines;
  for (Server& server : servers) {
    const std::string id = server.id;
    machines.push_back(machine_of(std::move(server), by_server[id], attached[id]));
  }
  std::sort(machines.begin(), machines.end(), [](const Machine& a, const Machine& b) {
    return std::tie(a.server.name, a.server.id) < std::tie(b.server.name, b.server.id);
  });
  return machines;
}

Machine find_machine(Client& client, const std::string& vm, const std::string& platform) {
  if (is_uuid(vm)) {
    const ApiCall call = list_call(Service::compute, "/servers/" + vm, "show the server " + vm);
    try {
      return load(client, parse_server(client.call(call), client.object_of(call)));
    } catch (const Error& error) {
      if (!has_status(error, 404)) {
        throw;
      }
    }
  }
  std::vector<Server> servers = client.list(
      list_call(Service::compute, "/servers/detail", "list the servers"), parse_servers);
  std::vector<Server> found;
  std::copy_if(servers.begin(), servers.end(), std::back_inserter(found),
               [&](const Server& one) { return one.name == vm; });
  if (found.empty()) {
    throw no_such(vm, platform, servers);
  }
  if (found.size() > 1) {
    throw Error(ErrorKind::usage, "several servers have this name", platform + ":" + vm,
                "use the id: hamal-snapshot vms " + platform + " shows them");
  }
  return load(client, std::move(found.front()));
}

std::string why_unprotectable(const Machine& machine, const Disk& disk, const Settings& settings) {
  constexpr std::array<std::string_view, 4> k_unready{"BUILD", "DELETED", "SOFT_DELETED",
                                                      "REBUILD"};
  const Server& server = machine.server;
  if (std::find(k_unready.begin(), k_unready.end(), server.status) != k_unready.end()) {
    return "the server is " + server.status;
  }
  if (disk.kind == DiskKind::volume) {
    return why_volume_unprotectable(disk, settings);
  }
  if (server.status.starts_with("SHELVED")) {
    return "Nova has put the disk away into an image: the server is " + server.status;
  }
  return settings.pools.contains(k_nova_disks)
             ? ""
             : fmt::format("a disk of Nova's own; set pool.{} if Nova keeps them in Ceph",
                           k_nova_disks);
}

std::string label_of(const Disk& disk) {
  std::string label;
  if (disk.kind == DiskKind::nova) {
    return disk.id == k_root_disk ? "root disk of Nova" : "ephemeral disk of Nova";
  }
  if (disk.volume) {
    label = disk.volume->name.empty() ? disk.volume->id : disk.volume->name;
    label += disk.volume->bootable ? ", bootable" : "";
    label += disk.volume->image.empty() ? "" : ", from the image " + disk.volume->image;
    label += disk.volume->encrypted ? ", encrypted" : "";
  }
  return disk.device.empty() ? label : disk.device + (label.empty() ? "" : ", ") + label;
}

Vm describe(const Machine& machine, const Settings& settings) {
  Vm vm;
  vm.id = machine.server.id;
  vm.name = machine.server.name;
  vm.power = power_of(machine.server);
  for (const Disk& disk : machine.disks) {
    const std::string why = why_unprotectable(machine, disk, settings);
    std::string reason = why;
    if (why.empty()) {
      reason = disk.connection ? "image " + disk.connection->pool + "/" + disk.connection->image
                               : "image of the pool that hamal.conf says";
      reason += disk.volume && disk.volume->encrypted
                    ? "; encrypted: what is copied is its cipher text"
                    : "";
    }
    vm.disks.push_back({.id = disk.id,
                        .label = label_of(disk),
                        .size = disk.size,
                        .protectable = why.empty(),
                        .reason = reason});
  }
  return vm;
}

std::string hardware_of(const Machine& machine) {
  const Server& server = machine.server;
  Json hardware{{"flavor", server.flavor},
                {"cpus", server.vcpus},
                {"memory_bytes", server.ram_mib << 20},
                {"status", server.status}};
  Json disks = Json::array();
  for (const Disk& disk : machine.disks) {
    Json one{{"id", disk.id}, {"device", disk.device}};
    if (disk.volume) {
      one["volume_type"] = disk.volume->type;
      one["bootable"] = disk.volume->bootable;
      one["encrypted"] = disk.volume->encrypted;
      one["image"] = disk.volume->image;
    }
    disks.push_back(std::move(one));
  }
  hardware["disks"] = std::move(disks);
  return hardware.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace hamal::openstack
