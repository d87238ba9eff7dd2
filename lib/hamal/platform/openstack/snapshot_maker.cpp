// The images are opened before anything is made: a disk that cannot be read needs no snapshot.
#include "hamal/platform/openstack/snapshot_maker.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "hamal/platform/rbd_frozen.hpp"
#include "hamal/platform/rbd_names.hpp"
#include "hamal/util/time.hpp"

namespace hamal::openstack {
namespace {

constexpr std::chrono::minutes k_undo{2};
constexpr std::uint64_t k_gib = 1ULL << 30U;

bool is_asked_for(const SnapshotOptions& options, const Disk& disk, std::size_t index) {
  return std::any_of(options.disks.begin(), options.disks.end(), [&](const std::string& asked) {
    return asked == disk.id || asked == std::to_string(index);
  });
}

}  // namespace

std::vector<SnapshotMaker::Part> SnapshotMaker::choose(const Machine& machine,
                                                       const SnapshotOptions& options) {
  std::vector<Part> parts;
  const std::string& name = machine.server.name;
  const std::string hint = "hamal-snapshot vms " + m_settings.platform + " says why not";
  for (std::size_t i = 0; i < machine.disks.size(); ++i) {
    const Disk& disk = machine.disks[i];
    const bool asked = is_asked_for(options, disk, i);
    if (!asked && !options.disks.empty()) {
      continue;
    }
    const std::string why = why_unprotectable(machine, disk, m_settings);
    if (!why.empty() && asked) {
      throw Error(ErrorKind::usage, "the disk cannot be protected: " + why, name + "/" + disk.id,
                  "leave it out");
    }
    if (!why.empty()) {
      m_context.log.warning("{}/{} is left out: {}", name, disk.id, why);
      continue;
    }
    parts.push_back({disk, m_images.find(machine, disk), i});
  }
  for (const std::string& asked : options.disks) {
    const bool there = std::any_of(parts.begin(), parts.end(), [&](const Part& part) {
      return asked == part.disk.id || asked == std::to_string(part.index);
    });
    if (!there) {
      throw Error(ErrorKind::usage, "no such disk", name + "/" + asked,
                  "hamal-snapshot vms " + m_settings.platform + " lists them");
    }
  }
  if (parts.empty()) {
    throw Error(ErrorKind::failed,
                machine.disks.empty() ? "the server has no disks"
                                      : "none of the server's disks can be protected",
                name, hint);
  }
  return parts;
}

void SnapshotMaker::check_quota(const Machine& machine, const std::vector<Part>& parts) {
  std::int64_t needed = 0;
  std::uint64_t bytes = 0;
  for (const Part& part : parts) {
    if (part.disk.kind == DiskKind::volume) {
      ++needed;
      bytes += part.disk.size;
    }
  }
  if (needed == 0) {
    return;
  }
  const ApiCall call{.path = "/limits", .what = "show the project's limits"};
  Quotas quotas;
  try {
    quotas = parse_quotas(m_client.call(call), m_client.object_of(call));
  } catch (const ApiError& error) {
    if (error.transient()) {
      throw;
    }
    m_context.log.warning("{}: whether the quota suffices is not known: {}", machine.server.name,
                          error.what());
    return;
  }
  if (quotas.snapshots.limit >= 0) {
    const std::int64_t left =
        std::max<std::int64_t>(0, quotas.snapshots.limit - quotas.snapshots.used);
    if (left < needed) {
      throw Error(ErrorKind::failed,
                  fmt::format("the run needs {} snapshots of volumes, and {} are left of the "
                              "project's {}",
                              needed, left, quotas.snapshots.limit),
                  machine.server.name,
                  "delete those that nobody needs, or have the quota raised: between two runs each "
                  "volume keeps one, during a run it has two");
    }
    m_context.log.info("{}: {} snapshots of volumes needed, {} left of the project's {}",
                       machine.server.name, needed, left, quotas.snapshots.limit);
  }
  const auto gigabytes = static_cast<std::int64_t>(bytes / k_gib);
  if (quotas.gigabytes.limit >= 0 && quotas.gigabytes.limit - quotas.gigabytes.used < gigabytes) {
    // Cinder may be set up not to count snapshots (no_snapshot_gb_quota).
    m_context.log.warning("{}: snapshots count {} GB, and {} are left of the project's {}",
                          machine.server.name, gigabytes,
                          std::max<std::int64_t>(0, quotas.gigabytes.limit - quotas.gigabytes.used),
                          quotas.gigabytes.limit);
  }
}

void SnapshotMaker::freeze(const Machine& machine, std::vector<Part>& parts,
                           const std::string& id) {
  std::vector<std::string> volumes;
  for (Part& part : parts) {
    if (part.disk.kind == DiskKind::volume) {
      volumes.push_back(part.disk.id);
    } else {
      part.snapshot = held_name(id);
      RbdImage::open_shared(part.image)->create_snapshot(part.snapshot);
    }
  }
  const auto made = VolumeSnapshots(m_client, m_context.log, m_settings.task_timeout)
                        .create(machine.server.id, volumes, id);
  std::size_t next = 0;
  for (Part& part : parts) {
    if (part.disk.kind == DiskKind::volume) {
      part.snapshot = rbd_name_of(made.at(next++).id);
    }
  }
}

SnapshotDocument SnapshotMaker::make(const Machine& machine, const SnapshotOptions& options) {
  std::vector<Part> parts = choose(machine, options);
  check_quota(machine, parts);
  if (options.quiesce == Quiesce::require) {
    throw Error(ErrorKind::usage, "quiescing is not supported on this platform",
                machine.server.name, "leave out --quiesce=require");
  }
  if (options.quiesce == Quiesce::try_to) {
    m_context.log.warning("{}: not quiesced, so crash-consistent: this platform cannot",
                          machine.server.name);
  }
  SnapshotDocument document;
  document.platform = m_settings.platform;
  document.platform_type = "openstack_ceph";
  document.vm_id = machine.server.id;
  document.vm_name = machine.server.name;
  document.snapshot_id = new_snapshot_id(m_context.mark);
  document.created = rfc3339(system_clock().wall());
  try {
    freeze(machine, parts, document.snapshot_id);
    for (const Part& part : parts) {
      SnapshotDisk disk;
      disk.id = part.disk.id;
      disk.label = label_of(part.disk);
      describe_frozen_rbd(disk, part.image, part.snapshot, m_clusters);
      if (part.index != document.disks.size()) {
        disk.index = part.index;
      }
      document.disks.push_back(std::move(disk));
    }
  } catch (...) {
    undo(machine.server.id, document.snapshot_id);
    throw;
  }
  document.hardware = hardware_of(machine);
  return document;
}

void SnapshotMaker::undo(const std::string& server, const std::string& id) noexcept {
  try {
    const CancelToken uninterrupted;
    Client client(m_settings.login, uninterrupted);
    // Somebody may be waiting for our end; the next run finds what is left.
    VolumeSnapshots snapshots(client, m_context.log,
                              std::min<std::chrono::milliseconds>(m_settings.task_timeout, k_undo));
    for (const OurSnapshot& one : snapshots.of_server(server)) {
      if (one.id != id || one.base) {
        continue;
      }
      try {
        if (snapshots.remove(one.snapshot) == Removal::busy) {
          m_context.log.warning("snapshot {} of the volume {} stays: Cinder says it is busy",
                                one.snapshot.id, one.snapshot.volume);
        }
      } catch (const Error& error) {
        m_context.log.warning("a snapshot stays after a failed create: {}", error.what());
      }
    }
    for (const Endpoint& image : m_images.of_nova(server)) {
      RbdImage::open_shared(image)->remove_snapshot(held_name(id));
    }
  } catch (const std::exception& error) {
    m_context.log.warning("cannot remove {} after a failed create: {}", id, error.what());
  }
}

}  // namespace hamal::openstack
