#include "hamal/platform/rbd/rbd_platform.hpp"

#include <algorithm>
#include <utility>

#include "hamal/block/rbd_image.hpp"
#include "hamal/platform/ceph_clusters.hpp"
#include "hamal/platform/rbd_frozen.hpp"
#include "hamal/platform/rbd_names.hpp"
#include "hamal/platform/snapshot_busy.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/random_id.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

constexpr const char* k_as_it_is_prefix = "asis-";
constexpr const char* k_foreign_prefix = "snap-";

class RbdPlatform final : public Platform {
 public:
  RbdPlatform(std::string name, const PlatformContext& context)
      : m_name(std::move(name)), m_context(context), m_clusters(context.config) {}

  std::vector<Vm> vms() override { return {}; }

  SnapshotDocument create_snapshot(const std::string& vm, const SnapshotOptions& options) override {
    const Endpoint endpoint = parse(vm);
    if (options.quiesce == Quiesce::require) {
      throw Error(ErrorKind::failed, "Ceph knows no guest that could be quiesced", vm,
                  "leave out --quiesce=require");
    }
    require_disk(endpoint, options.disks);
    SnapshotDocument document;
    document.platform = m_name;
    document.platform_type = "rbd";
    document.vm_id = rbd_uri(endpoint.rbd);
    document.vm_name = endpoint.rbd.image;
    document.created = rfc3339(system_clock().wall());
    SnapshotDisk disk;
    disk.id = endpoint.rbd.image;
    disk.label = document.vm_id;
    if (!endpoint.snapshot.empty()) {
      document.snapshot_id = k_foreign_prefix + endpoint.snapshot;
      describe_frozen_rbd(disk, endpoint, endpoint.snapshot, m_clusters);
    } else if (options.offline == Offline::yes) {
      document.snapshot_id = k_as_it_is_prefix + random_hex(8);
      disk.source = document.vm_id;
      disk.size = RbdImage::open(endpoint)->size();
      disk.untracked_reason = "the image is read as it is, without a snapshot";
    } else {
      document.snapshot_id = new_snapshot_id(m_context.mark);
      const auto image = RbdImage::open_shared(endpoint);
      const std::string name = held_name(document.snapshot_id);
      image->create_snapshot(name);
      try {
        describe_frozen_rbd(disk, endpoint, name, m_clusters);
      } catch (...) {
        image->remove_snapshot(name);
        throw;
      }
    }
    document.disks.push_back(std::move(disk));
    return document;
  }

  std::vector<SnapshotInfo> list_snapshots(const std::string& vm) override {
    const Endpoint endpoint = parse(vm);
    const auto image = RbdImage::find(endpoint);
    std::vector<SnapshotInfo> result;
    for (const RbdSnapshot& one : image ? image->snapshots() : std::vector<RbdSnapshot>()) {
      if (const auto name = parse_snapshot_name(one.name)) {
        result.push_back({name->id, rbd_uri(endpoint.rbd), created_of_snapshot(name->id),
                          name->base ? "base" : "held", name->mark == m_context.mark});
      }
    }
    return result;
  }

  void finish_snapshot(const SnapshotDocument& document, Outcome outcome,
                       const std::vector<std::string>& still_needed) override {
    if (!is_ours(document.snapshot_id)) {
      return;  // the operator's, or none at all
    }
    const Endpoint endpoint = parse(document.vm_id);
    if (!RbdImage::find(endpoint)) {
      return;
    }
    const auto image = RbdImage::open_shared(endpoint);
    const std::string held = held_name(document.snapshot_id);
    if (const auto snapshot = image->find_snapshot(held)) {
      if (outcome == Outcome::committed) {
        image->rename_snapshot(held, base_name(document.snapshot_id));
      } else if (!names_rbd_snapshot(still_needed, image->id(), snapshot->id)) {
        remove_held(*image, held);
      }
    }
    if (outcome == Outcome::committed) {
      remove_older_bases(*image, document.snapshot_id, still_needed);
    }
  }

  void delete_snapshot(const std::string& vm, const std::string& snapshot_id) override {
    if (is_ours(snapshot_id)) {
      const Endpoint endpoint = parse(vm);
      if (RbdImage::find(endpoint)) {
        remove_held(*RbdImage::open_shared(endpoint), held_name(snapshot_id));
      }
    }
  }

  std::vector<std::string> unneeded_bases(const std::string& vm,
                                          const std::vector<std::string>& needed) override {
    const auto image = RbdImage::find(parse(vm));
    const auto all = image ? image->snapshots() : std::vector<RbdSnapshot>();
    const auto is_own_base = [&](const RbdSnapshot& one) {
      const auto name = parse_snapshot_name(one.name);
      return name && name->base && name->mark == m_context.mark;
    };
    // The newest may be what a checkpoint counts from that is not in our state: on another proxy,
    // or of a version that was committed and is not cached here.
    std::uint64_t newest = 0;
    for (const RbdSnapshot& one : all) {
      newest = is_own_base(one) ? std::max(newest, one.id) : newest;
    }
    std::vector<std::string> ids;
    for (const RbdSnapshot& one : all) {
      if (is_own_base(one) && one.id != newest &&
          !names_rbd_snapshot(needed, image->id(), one.id)) {
        ids.push_back(parse_snapshot_name(one.name)->id);
      }
    }
    return ids;
  }

  void delete_base(const std::string& vm, const std::string& snapshot_id) override {
    if (is_ours(snapshot_id)) {
      const Endpoint endpoint = parse(vm);
      if (RbdImage::find(endpoint)) {
        RbdImage::open_shared(endpoint)->remove_snapshot(base_name(snapshot_id));
      }
    }
  }

  Changes changed_extents(const SnapshotDocument&, const SnapshotDisk& disk,
                          const std::string& base) override {
    return changes_of_frozen_rbd(disk, base, m_clusters);
  }

  std::unique_ptr<BlockReader> open_reader(const SnapshotDisk& disk) override {
    return open_frozen_rbd(disk, m_clusters);
  }

  void verify_snapshot(const std::string& vm_id, const std::string&,
                       const SnapshotDisk& disk) override {
    if (const std::string why = why_frozen_rbd_is_lost(disk, m_clusters); !why.empty()) {
      throw Error(ErrorKind::failed, "what was read is not what it was: " + why,
                  m_name + ":" + vm_id, "make a new snapshot and run again", Transience::transient);
    }
  }

 private:
  bool is_ours(const std::string& snapshot_id) const {
    const auto name = parse_snapshot_name(held_name(snapshot_id));
    return name && name->mark == m_context.mark;
  }

  Endpoint parse(const std::string& uri) {
    Endpoint endpoint = parse_endpoint(uri);
    if (endpoint.kind != EndpointKind::rbd) {
      throw Error(ErrorKind::usage, "not an image in Ceph", uri,
                  "the platform \"rbd\" takes rbd:POOL/IMAGE[@SNAP]");
    }
    return m_clusters.attach(std::move(endpoint));
  }

  static void require_disk(const Endpoint& endpoint, const std::vector<std::string>& disks) {
    for (const std::string& id : disks) {
      if (id != endpoint.rbd.image && id != "0") {
        throw Error(ErrorKind::usage, "no such disk", endpoint.uri + "/" + id,
                    "an image is one disk, called " + endpoint.rbd.image);
      }
    }
  }

  static void remove_held(RbdImage& image, const std::string& name) {
    if (!image.try_remove_snapshot(name)) {
      throw SnapshotBusy("the snapshot is busy: it is protected or has clones",
                         image.uri() + "@" + name,
                         "rbd children shows its clones: delete or flatten them");
    }
  }

  void remove_older_bases(RbdImage& image, const std::string& newest,
                          const std::vector<std::string>& still_needed) {
    const auto all = image.snapshots();
    const auto kept = image.find_snapshot(base_name(newest));
    for (const RbdSnapshot& one : all) {
      const auto name = parse_snapshot_name(one.name);
      const bool old = name && name->base && name->mark == m_context.mark && kept &&
                       one.id < kept->id && !names_rbd_snapshot(still_needed, image.id(), one.id);
      // What somebody has protected or cloned is theirs now, and no reason to fail: what was
      // committed is.
      if (old && !image.try_remove_snapshot(one.name)) {
        m_context.log.warning(
            "{}: the snapshot {} is not needed any more and stays: it is protected or has clones "
            "(rbd children shows them)",
            image.uri(), one.name);
      }
    }
  }

  std::string m_name;
  PlatformContext m_context;
  CephClusters m_clusters;
};

}  // namespace

std::unique_ptr<Platform> make_rbd_platform(const std::string& name, const NamedSection&,
                                            const PlatformContext& context) {
  return std::make_unique<RbdPlatform>(name, context);
}

}  // namespace hamal
