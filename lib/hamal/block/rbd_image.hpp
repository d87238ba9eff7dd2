// One open RBD image, or one snapshot of it.
//
// While a snapshot is open nothing keeps it from being removed, and librbd then reads zeros without
// an error: whoever has read asks an image opened afterwards for its snapshots (design rule 7).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hamal/block/ceph_cluster.hpp"
#include "hamal/block/endpoint.hpp"

namespace hamal {

struct RbdSnapshot {
  std::uint64_t id = 0;  ///< never used again in the pool
  std::string name;
  std::uint64_t size = 0;  ///< bytes
};

/// Thread-safe. Errors: Error naming the URI.
class RbdImage {
 public:
  /// Opens read-only: the snapshot of the endpoint, or the image as it is now. Throws
  /// Error(failed) when there is none.
  static std::shared_ptr<RbdImage> open(const Endpoint& endpoint);
  /// The image as it is now, whatever snapshot the endpoint names; null when there is none.
  static std::shared_ptr<RbdImage> find(Endpoint endpoint);
  /// Opens the image for writing, for us alone (rbd_lock.hpp); null when there is none.
  static std::shared_ptr<RbdImage> open_exclusive(const Endpoint& endpoint);
  /// Opens it beside whoever writes it, for what is done to its snapshots. Throws Error(failed)
  /// when there is none.
  static std::shared_ptr<RbdImage> open_shared(Endpoint endpoint);
  /// Creates an image with the features that are the cluster's default.
  static void create(const Endpoint& endpoint, std::uint64_t size);
  ~RbdImage();
  RbdImage(const RbdImage&) = delete;
  RbdImage& operator=(const RbdImage&) = delete;

  const std::string& uri() const noexcept { return m_uri; }
  const Endpoint& endpoint() const noexcept { return m_endpoint; }
  /// Bytes, of the snapshot if one is open; when it was opened.
  std::uint64_t size() const noexcept { return m_size; }
  std::uint64_t object_size() const noexcept { return m_object_size; }
  /// What stays the same when the image is renamed, and is another for a new one of its name.
  const std::string& id() const noexcept { return m_id; }
  CephCluster& cluster() const noexcept { return *m_cluster; }
  /// An rbd_image_t.
  void* handle() const noexcept { return m_image; }

  /// Those of users, not those that groups, mirrors and the trash keep.
  std::vector<RbdSnapshot> snapshots() const;
  std::optional<RbdSnapshot> find_snapshot(const std::string& name) const;
  /// The next four need open_shared(). A name that is there already is success.
  RbdSnapshot create_snapshot(const std::string& name);
  /// Gone already is success; a snapshot with clones or a protected one is an Error.
  void remove_snapshot(const std::string& name);
  /// The same, but false for one with clones or a protected one.
  bool try_remove_snapshot(const std::string& name);
  /// Its id stays.
  void rename_snapshot(const std::string& from, const std::string& to);
  /// Whether the object map of the open snapshot can be believed, in the words of a reason why not;
  /// empty when it can.
  std::string why_no_fast_diff() const;
  void resize(std::uint64_t size);

 private:
  enum class Access { read, write };
  RbdImage(const Endpoint& endpoint, Access access);
  void read_facts();

  Endpoint m_endpoint;
  std::shared_ptr<CephCluster> m_cluster;
  std::string m_uri;
  void* m_context = nullptr;
  void* m_image = nullptr;
  std::string m_id;
  std::uint64_t m_size = 0;
  std::uint64_t m_object_size = 0;
  bool m_exclusive = false;
  bool m_locked = false;

  friend class RbdLock;
};

/// The cluster's, the pool's and the image's ids, the same whatever the URI; by its name as long as
/// there is no such image.
std::string canonical_rbd(const Endpoint& endpoint);
bool rbd_exists(const Endpoint& endpoint);

}  // namespace hamal
