#include "hamal/platform/rbd_frozen.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "hamal/block/rbd_image.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

Endpoint attached(const std::string& source, CephClusters& clusters) {
  Endpoint endpoint = parse_endpoint(source);
  if (endpoint.kind != EndpointKind::rbd) {
    throw Error(ErrorKind::usage, "not an image in Ceph", source, "write rbd:POOL/IMAGE[@SNAP]");
  }
  return clusters.attach(std::move(endpoint));
}

std::optional<RbdSnapshot> snapshot_of_id(const RbdImage& image, std::uint64_t id) {
  const auto all = image.snapshots();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const RbdSnapshot& one) { return one.id == id; });
  return found == all.end() ? std::nullopt : std::optional(*found);
}

/// While the snapshot that a diff counts from is removed, the diff may lose what it had.
class GuardedDiff final : public ExtentSource {
 public:
  GuardedDiff(ExtentSourcePtr inner, Endpoint endpoint, RbdSnapshot from)
      : m_inner(std::move(inner)), m_endpoint(std::move(endpoint)), m_from(std::move(from)) {}

  bool next(std::vector<Extent>& window) override {
    if (m_inner->next(window)) {
      return true;
    }
    const auto image = RbdImage::find(m_endpoint);
    if (!image || !snapshot_of_id(*image, m_from.id)) {
      throw Error(ErrorKind::failed,
                  "the snapshot " + m_from.name +
                      " that changes count from was removed while they were listed",
                  m_endpoint.uri, "run it again", Transience::transient);
    }
    return false;
  }

 private:
  ExtentSourcePtr m_inner;
  Endpoint m_endpoint;
  RbdSnapshot m_from;
};

}  // namespace

void describe_frozen_rbd(SnapshotDisk& disk, Endpoint endpoint, const std::string& snapshot,
                         CephClusters& clusters) {
  disk.source = rbd_uri(endpoint.rbd, snapshot);
  const auto image = RbdImage::open(attached(disk.source, clusters));
  const auto found = image->find_snapshot(snapshot);
  if (!found) {
    throw Error(ErrorKind::failed, "the snapshot is gone as soon as it was opened", disk.source);
  }
  disk.size = image->size();
  disk.tracked = true;
  disk.change_id = to_string(RbdChangeId{image->id(), found->id, snapshot});
}

std::unique_ptr<RbdReader> open_frozen_rbd(const SnapshotDisk& disk, CephClusters& clusters) {
  auto reader = std::make_unique<RbdReader>(RbdImage::open(attached(disk.source, clusters)));
  if (reader->size() != disk.size) {
    throw Error(ErrorKind::failed,
                "has " + std::to_string(reader->size()) + " bytes and had " +
                    std::to_string(disk.size) + " when the snapshot was made",
                disk.source, "make a new snapshot");
  }
  return reader;
}

Changes changes_of_frozen_rbd(const SnapshotDisk& disk, const std::string& base,
                              CephClusters& clusters) {
  const auto reader = open_frozen_rbd(disk, clusters);
  const auto full = [&](const std::string& reason) {
    return Changes{SyncMode::full, reason, reader->allocated()};
  };
  if (base.empty()) {
    return full("no base was given");
  }
  const auto id = parse_rbd_change_id(base);
  if (!id) {
    return full("the base \"" + base + "\" is no snapshot of an image");
  }
  const RbdImage& image = reader->image();
  if (id->image != image.id()) {
    return full("the base is a snapshot of another image (id " + id->image + ")");
  }
  if (image.endpoint().snapshot.empty()) {
    return full("the image is read as it is, without a snapshot");
  }
  const auto from = snapshot_of_id(image, id->snapshot);
  if (!from) {
    return full("the snapshot " + id->name + " that changes count from is gone");
  }
  const auto to = image.find_snapshot(image.endpoint().snapshot);
  if (!to || to->id < from->id) {
    return full("the snapshot " + from->name + " is younger than the one that is read");
  }
  const RbdDiff diff = image.cluster().settings().diff;
  const std::string coarse = image.why_no_fast_diff();
  return {
      SyncMode::incremental,
      "rbd diff since " + from->name +
          (diff == RbdDiff::fast && !coarse.empty() ? ", of every object: " + coarse : ""),
      std::make_unique<GuardedDiff>(reader->changed(from->name, diff), image.endpoint(), *from)};
}

std::string why_frozen_rbd_is_lost(const SnapshotDisk& disk, CephClusters& clusters) {
  const Endpoint endpoint = attached(disk.source, clusters);
  const auto image = RbdImage::find(endpoint);
  if (!image) {
    return "the image is gone";
  }
  if (endpoint.snapshot.empty()) {
    return {};
  }
  const auto snapshot = image->find_snapshot(endpoint.snapshot);
  if (!snapshot) {
    return "the snapshot " + endpoint.snapshot + " is gone";
  }
  const auto id = parse_rbd_change_id(disk.change_id);
  if (id && (id->image != image->id() || id->snapshot != snapshot->id)) {
    return "there is another snapshot called " + endpoint.snapshot;
  }
  return {};
}

bool names_rbd_snapshot(const std::vector<std::string>& change_ids, const std::string& image,
                        std::uint64_t snapshot) {
  return std::any_of(change_ids.begin(), change_ids.end(), [&](const std::string& text) {
    const auto id = parse_rbd_change_id(text);
    return id && id->image == image && id->snapshot == snapshot;
  });
}

}  // namespace hamal
