// The committed snapshot of each volume stays as the base of the next run: RBD has no other way to
// tell what changed. So the order is: new snapshot, diff from the base, copy, look whether both are
// still there, checkpoint, then the old base is removed; at most two snapshots of a volume at once.
#include "hamal/platform/openstack/openstack_platform.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "hamal/platform/openstack/snapshot_maker.hpp"
#include "hamal/platform/rbd_frozen.hpp"
#include "hamal/platform/rbd_names.hpp"
#include "hamal/platform/snapshot_busy.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/parallel.hpp"

namespace hamal::openstack {
namespace {

constexpr unsigned k_removed_at_once = 8;

class OpenStackPlatform final : public Platform {
 public:
  OpenStackPlatform(Settings settings, const PlatformContext& context)
      : m_settings(std::move(settings)),
        m_context(context),
        m_client(m_settings.login, context.cancel),
        m_clusters(context.config),
        m_images(m_settings, context.config, m_clusters),
        m_volumes(m_client, context.log, m_settings.task_timeout) {}

  std::vector<Vm> vms() override;
  SnapshotDocument create_snapshot(const std::string& vm, const SnapshotOptions& options) override;
  std::vector<SnapshotInfo> list_snapshots(const std::string& vm) override;
  void finish_snapshot(const SnapshotDocument& document, Outcome outcome,
                       const std::vector<std::string>& still_needed) override;
  void delete_snapshot(const std::string& vm, const std::string& snapshot_id) override;
  // By the server's id, as long as its volumes have them.
  bool ends_without_vm() const noexcept override { return true; }
  Changes changed_extents(const SnapshotDocument&, const SnapshotDisk& disk,
                          const std::string& base) override {
    return changes_of_frozen_rbd(disk, base, m_clusters);
  }
  std::unique_ptr<BlockReader> open_reader(const SnapshotDisk& disk) override {
    return open_frozen_rbd(disk, m_clusters);
  }
  void verify_snapshot(const std::string& vm_id, const std::string& snapshot_id,
                       const SnapshotDisk& disk) override;

 private:
  std::string server_id(const std::string& vm);
  void check_own(const std::string& snapshot_id) const;
  bool is_ours(const std::string& mark) const { return mark == m_context.mark; }
  std::string why_lost(const SnapshotDisk& disk);
  void keep_bases(const SnapshotDocument& document);
  void remove_old_bases(const SnapshotDocument& document,
                        const std::vector<std::string>& still_needed);
  void keep_base_of_nova(const Endpoint& image, const SnapshotDocument& document,
                         const std::vector<std::string>& still_needed);
  void remove_held(const std::string& server, const std::string& snapshot_id,
                   const std::vector<std::string>& still_needed);

  Settings m_settings;
  PlatformContext m_context;
  Client m_client;
  CephClusters m_clusters;
  Images m_images;
  VolumeSnapshots m_volumes;
};

bool is_needed(const VolumeSnapshot& snapshot, const std::vector<std::string>& still_needed) {
  return std::any_of(still_needed.begin(), still_needed.end(), [&](const std::string& text) {
    const auto id = parse_rbd_change_id(text);
    return id && volume_snapshot_of(id->name) == snapshot.id;
  });
}

/// Cinder's snapshot behind a disk of a document; empty: an image of Nova's, whose snapshot is
/// ours.
std::string volume_snapshot_of_disk(const SnapshotDisk& disk) {
  return volume_snapshot_of(parse_endpoint(disk.source).snapshot);
}

std::vector<Vm> OpenStackPlatform::vms() {
  std::vector<Vm> result;
  for (const Machine& machine : all_machines(m_client)) {
    result.push_back(describe(machine, m_settings));
  }
  return result;
}

SnapshotDocument OpenStackPlatform::create_snapshot(const std::string& vm,
                                                    const SnapshotOptions& options) {
  const Machine machine = find_machine(m_client, vm, m_settings.platform);
  return SnapshotMaker(m_client, m_settings, m_context, m_clusters).make(machine, options);
}

std::string OpenStackPlatform::server_id(const std::string& vm) {
  // A server that is gone may have left snapshots.
  return is_uuid(vm) ? vm : find_machine(m_client, vm, m_settings.platform).server.id;
}

std::vector<SnapshotInfo> OpenStackPlatform::list_snapshots(const std::string& vm) {
  const std::string server = server_id(vm);
  std::map<std::string, SnapshotInfo> found;
  const auto add = [&](const std::string& id, const std::string& mark, bool base) {
    SnapshotInfo& info = found[id];
    info.id = id;
    info.vm_id = server;
    info.created = created_of_snapshot(id);
    info.ours = is_ours(mark);
    // Held as long as one of its parts is.
    info.state = base && info.state != "held" ? "base" : "held";
  };
  for (const OurSnapshot& one : m_volumes.of_server(server)) {
    add(one.id, one.mark, one.base);
  }
  for (const Endpoint& endpoint : m_images.of_nova(server)) {
    if (const auto image = RbdImage::find(endpoint)) {
      for (const RbdSnapshot& one : image->snapshots()) {
        if (const auto name = parse_snapshot_name(one.name)) {
          add(name->id, name->mark, name->base);
        }
      }
    }
  }
  std::vector<SnapshotInfo> result;
  for (const auto& [id, info] : found) {
    result.push_back(info);
  }
  std::sort(result.begin(), result.end(),
            [](const SnapshotInfo& a, const SnapshotInfo& b) { return a.created < b.created; });
  return result;
}

void OpenStackPlatform::check_own(const std::string& snapshot_id) const {
  const auto name = parse_snapshot_name(held_name(snapshot_id));
  if (!name || !is_ours(name->mark)) {
    throw Error(ErrorKind::failed, "the snapshot was not made by this installation", snapshot_id,
                "remove it with OpenStack's own tools");
  }
}

void OpenStackPlatform::keep_bases(const SnapshotDocument& document) {
  for (const SnapshotDisk& disk : document.disks) {
    const std::string snapshot = volume_snapshot_of_disk(disk);
    if (snapshot.empty()) {
      continue;
    }
    try {
      m_volumes.keep_as_base(snapshot, document.snapshot_id);
    } catch (const Error& error) {
      if (!has_status(error, 404)) {
        throw;
      }
      m_context.log.warning("{}/{}: the snapshot is gone, the next run is a full", document.vm_name,
                            disk.id);
    }
  }
}

void OpenStackPlatform::remove_old_bases(const SnapshotDocument& document,
                                         const std::vector<std::string>& still_needed) {
  const auto all = m_volumes.of_server(document.vm_id);
  std::map<std::string, std::string> kept;  // volume → when its base was made, by Cinder's clock
  for (const OurSnapshot& one : all) {
    if (one.id == document.snapshot_id) {
      kept[one.snapshot.volume] = one.snapshot.created;
    }
  }
  std::vector<VolumeSnapshot> old;
  for (const OurSnapshot& one : all) {
    const auto newest = kept.find(one.snapshot.volume);
    if (one.base && is_ours(one.mark) && one.id != document.snapshot_id && newest != kept.end() &&
        one.snapshot.created < newest->second && !is_needed(one.snapshot, still_needed)) {
      old.push_back(one.snapshot);
    }
  }
  // What stays is a base that nothing counts from: the next run's end tries again.
  for_each_parallel(old.size(), k_removed_at_once, [&](std::size_t i) {
    try {
      if (m_volumes.remove(old[i]) == Removal::busy) {
        m_context.log.warning(
            "snapshot {} of the volume {} stays for now: Cinder says it is busy (was a volume made "
            "from it?)",
            old[i].id, old[i].volume);
      }
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::failed || has_status(error, 403)) {
        throw;
      }
      m_context.log.warning("an old snapshot stays for now: {}", error.what());
    }
  });
}

void OpenStackPlatform::keep_base_of_nova(const Endpoint& endpoint,
                                          const SnapshotDocument& document,
                                          const std::vector<std::string>& still_needed) {
  const auto image = RbdImage::open_shared(endpoint);
  if (image->find_snapshot(held_name(document.snapshot_id))) {
    image->rename_snapshot(held_name(document.snapshot_id), base_name(document.snapshot_id));
  }
  const auto kept = image->find_snapshot(base_name(document.snapshot_id));
  for (const RbdSnapshot& one : image->snapshots()) {
    const auto name = parse_snapshot_name(one.name);
    if (name && name->base && is_ours(name->mark) && kept && one.id < kept->id &&
        !names_rbd_snapshot(still_needed, image->id(), one.id) &&
        !image->try_remove_snapshot(one.name)) {
      m_context.log.warning(
          "{}: the snapshot {} is not needed any more and stays for now: it is protected or has "
          "clones (rbd children shows them)",
          image->uri(), one.name);
    }
  }
}

void OpenStackPlatform::remove_held(const std::string& server, const std::string& snapshot_id,
                                    const std::vector<std::string>& still_needed) {
  std::vector<VolumeSnapshot> held;
  for (const OurSnapshot& one : m_volumes.of_server(server)) {
    if (one.id == snapshot_id && !one.base && !is_needed(one.snapshot, still_needed)) {
      held.push_back(one.snapshot);
    }
  }
  // What can be removed is, whatever stays.
  std::vector<char> stays(held.size(), 0);
  for_each_parallel(held.size(), k_removed_at_once, [&](std::size_t i) {
    stays[i] = m_volumes.remove(held[i]) == Removal::busy ? 1 : 0;
  });
  std::string busy;
  for (const Endpoint& endpoint : m_images.of_nova(server)) {
    const auto image = RbdImage::open_shared(endpoint);
    const auto own = image->find_snapshot(held_name(snapshot_id));
    if (own && !names_rbd_snapshot(still_needed, image->id(), own->id) &&
        !image->try_remove_snapshot(own->name)) {
      busy = image->uri() + "@" + own->name;
    }
  }
  for (std::size_t i = 0; i < held.size(); ++i) {
    if (stays[i] != 0) {
      busy = fmt::format("snapshot {} of the volume {}", held[i].id, held[i].volume);
    }
  }
  if (!busy.empty()) {
    throw SnapshotBusy("the snapshot is busy", busy,
                       "it is protected, or a volume was made from it: delete or flatten that one");
  }
}

void OpenStackPlatform::finish_snapshot(const SnapshotDocument& document, Outcome outcome,
                                        const std::vector<std::string>& still_needed) {
  check_own(document.snapshot_id);
  if (outcome == Outcome::failed) {
    remove_held(document.vm_id, document.snapshot_id, still_needed);
    return;
  }
  keep_bases(document);
  for (const SnapshotDisk& disk : document.disks) {
    const Endpoint source = m_clusters.attach(parse_endpoint(disk.source));
    if (volume_snapshot_of(source.snapshot).empty() && RbdImage::find(source)) {
      keep_base_of_nova(source, document, still_needed);
    }
  }
  remove_old_bases(document, still_needed);
}

void OpenStackPlatform::delete_snapshot(const std::string& vm, const std::string& snapshot_id) {
  check_own(snapshot_id);
  remove_held(server_id(vm), snapshot_id, {});
}

std::string OpenStackPlatform::why_lost(const SnapshotDisk& disk) {
  const std::string snapshot = volume_snapshot_of_disk(disk);
  if (!snapshot.empty()) {
    try {
      const VolumeSnapshot now = m_volumes.look(snapshot);
      if (now.status != "available") {
        return fmt::format("Cinder's snapshot {} is \"{}\"", snapshot, now.status);
      }
      if (now.volume != disk.id) {
        return fmt::format("Cinder's snapshot {} is of another volume", snapshot);
      }
    } catch (const Error& error) {
      if (!has_status(error, 404)) {
        throw;
      }
      return fmt::format("Cinder's snapshot {} is gone", snapshot);
    }
  }
  return why_frozen_rbd_is_lost(disk, m_clusters);
}

void OpenStackPlatform::verify_snapshot(const std::string& vm_id, const std::string&,
                                        const SnapshotDisk& disk) {
  if (const std::string why = why_lost(disk); !why.empty()) {
    throw Error(ErrorKind::failed, "what was read is not what it was: " + why,
                fmt::format("{}:{}/{}", m_settings.platform, vm_id, disk.id),
                "make a new snapshot and run again", Transience::transient);
  }
}

}  // namespace
}  // namespace hamal::openstack

namespace hamal {

std::unique_ptr<Platform> make_openstack_platform(const std::string& name,
                                                  const NamedSection& section,
                                                  const PlatformContext& context) {
  return std::make_unique<openstack::OpenStackPlatform>(
      openstack::read_settings(name, section, context.config), context);
}

}  // namespace hamal
