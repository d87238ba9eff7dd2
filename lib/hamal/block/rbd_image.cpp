// Opening RBD images and their snapshots by librbd.
#include "hamal/block/rbd_image.hpp"

#include <rados/librados.h>
#include <rbd/librbd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <utility>

#include "hamal/block/rbd_lock.hpp"

namespace hamal {
namespace {

// Of the object map, not in librbd's header.
constexpr std::uint64_t k_flag_object_map_invalid = 1;
constexpr std::uint64_t k_flag_fast_diff_invalid = 2;

CephCluster& cluster_of(const Endpoint& endpoint) {
  if (!endpoint.ceph) {
    throw std::logic_error("no cluster was attached to " + endpoint.uri);
  }
  return *endpoint.ceph;
}

class Pool {
 public:
  explicit Pool(const Endpoint& endpoint)
      : m_context(
            cluster_of(endpoint).open_pool(endpoint.rbd.pool, endpoint.rbd.space, endpoint.uri)) {}
  ~Pool() { CephCluster::close_pool(m_context); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  void* get() const noexcept { return m_context; }

 private:
  void* m_context;
};

Error no_image(const Endpoint& endpoint) {
  return {
      ErrorKind::failed,
      endpoint.snapshot.empty() ? "there is no such image" : "there is no such image or snapshot",
      endpoint.uri, "rbd ls and rbd snap ls show what is there"};
}

}  // namespace

RbdImage::RbdImage(const Endpoint& endpoint, Access access)
    : m_endpoint(endpoint), m_cluster(endpoint.ceph), m_uri(endpoint.uri) {
  m_context = cluster_of(endpoint).open_pool(endpoint.rbd.pool, endpoint.rbd.space, m_uri);
  const char* snapshot =
      access == Access::write || endpoint.snapshot.empty() ? nullptr : endpoint.snapshot.c_str();
  const int status =
      access == Access::write
          ? rbd_open(m_context, endpoint.rbd.image.c_str(), &m_image, snapshot)
          : rbd_open_read_only(m_context, endpoint.rbd.image.c_str(), &m_image, snapshot);
  if (status < 0) {
    m_image = nullptr;
    CephCluster::close_pool(m_context);
    if (status != -ENOENT) {
      throw ceph_error("cannot open the image", m_uri, status);
    }
    m_context = nullptr;
    return;
  }
  try {
    read_facts();
  } catch (...) {
    rbd_close(m_image);
    CephCluster::close_pool(m_context);
    throw;
  }
}

void RbdImage::read_facts() {
  std::array<char, 128> id{};
  rbd_image_info_t info{};
  int status = rbd_get_id(m_image, id.data(), id.size());
  status = status < 0 ? status : rbd_stat(m_image, &info, sizeof info);
  if (status < 0) {
    throw ceph_error("cannot ask for the size of the image", m_uri, status);
  }
  m_id = id.data();
  m_size = info.size;
  m_object_size = info.obj_size;
}

std::shared_ptr<RbdImage> RbdImage::open(const Endpoint& endpoint) {
  const std::shared_ptr<RbdImage> image(new RbdImage(endpoint, Access::read));
  if (image->m_image == nullptr) {
    throw no_image(endpoint);
  }
  return image;
}

std::shared_ptr<RbdImage> RbdImage::find(Endpoint endpoint) {
  endpoint.snapshot.clear();
  std::shared_ptr<RbdImage> image(new RbdImage(endpoint, Access::read));
  return image->m_image == nullptr ? nullptr : image;
}

std::shared_ptr<RbdImage> RbdImage::open_exclusive(const Endpoint& endpoint) {
  std::shared_ptr<RbdImage> image(new RbdImage(endpoint, Access::write));
  if (image->m_image == nullptr) {
    return nullptr;
  }
  RbdLock::take(*image);
  image->m_exclusive = true;
  image->read_facts();  // nobody changes them any more
  return image;
}

std::shared_ptr<RbdImage> RbdImage::open_shared(Endpoint endpoint) {
  endpoint.snapshot.clear();
  std::shared_ptr<RbdImage> image(new RbdImage(endpoint, Access::write));
  if (image->m_image == nullptr) {
    throw no_image(endpoint);
  }
  return image;
}

void RbdImage::create(const Endpoint& endpoint, std::uint64_t size) {
  const Pool pool(endpoint);
  rbd_image_options_t options = nullptr;
  rbd_image_options_create(&options);
  const int status = rbd_create4(pool.get(), endpoint.rbd.image.c_str(), size, options);
  rbd_image_options_destroy(options);
  if (status == -EEXIST) {
    throw Error(ErrorKind::busy, "the image appeared while it was to be created", endpoint.uri,
                "another run has made it; run again");
  }
  if (status < 0) {
    throw ceph_error("cannot create the image", endpoint.uri, status);
  }
}

RbdImage::~RbdImage() {
  if (m_image != nullptr) {
    if (m_exclusive) {
      RbdLock::release(*this);
    }
    rbd_close(m_image);
  }
  CephCluster::close_pool(m_context);
}

std::vector<RbdSnapshot> RbdImage::snapshots() const {
  std::vector<rbd_snap_info_t> list(64);
  int size = static_cast<int>(list.size());
  int count = 0;
  while ((count = rbd_snap_list(m_image, list.data(), &size)) == -ERANGE) {
    list.resize(static_cast<std::size_t>(size) + 16);
    size = static_cast<int>(list.size());
  }
  if (count < 0) {
    throw ceph_error("cannot list the snapshots", m_uri, count);
  }
  std::vector<RbdSnapshot> result;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    rbd_snap_namespace_type_t type = RBD_SNAP_NAMESPACE_TYPE_USER;
    const int status = rbd_snap_get_namespace_type(m_image, list[i].id, &type);
    if (status == 0 && type == RBD_SNAP_NAMESPACE_TYPE_USER) {
      result.push_back({list[i].id, list[i].name, list[i].size});
    }
  }
  rbd_snap_list_end(list.data());
  return result;
}

std::optional<RbdSnapshot> RbdImage::find_snapshot(const std::string& name) const {
  for (RbdSnapshot& one : snapshots()) {
    if (one.name == name) {
      return std::move(one);
    }
  }
  return std::nullopt;
}

RbdSnapshot RbdImage::create_snapshot(const std::string& name) {
  const int status = rbd_snap_create(m_image, name.c_str());
  if (status < 0 && status != -EEXIST) {
    throw ceph_error("cannot create the snapshot " + name, m_uri, status);
  }
  const auto made = find_snapshot(name);
  if (!made) {
    throw Error(ErrorKind::failed, "the snapshot " + name + " is gone as soon as it was made",
                m_uri, "does something else remove snapshots there?");
  }
  return *made;
}

void RbdImage::remove_snapshot(const std::string& name) {
  if (!try_remove_snapshot(name)) {
    throw Error(ErrorKind::failed, "the snapshot " + name + " is protected or has clones", m_uri,
                "rbd children shows them; flatten them, or leave the snapshot");
  }
}

bool RbdImage::try_remove_snapshot(const std::string& name) {
  const int status = rbd_snap_remove(m_image, name.c_str());
  if (status < 0 && status != -ENOENT && status != -EBUSY) {
    throw ceph_error("cannot remove the snapshot " + name, m_uri, status);
  }
  return status != -EBUSY;
}

void RbdImage::rename_snapshot(const std::string& from, const std::string& to) {
  if (const int status = rbd_snap_rename(m_image, from.c_str(), to.c_str()); status < 0) {
    throw ceph_error("cannot rename the snapshot " + from + " to " + to, m_uri, status);
  }
}

std::string RbdImage::why_no_fast_diff() const {
  std::uint64_t features = 0;
  std::uint64_t flags = 0;
  if (rbd_get_features(m_image, &features) < 0 || (features & RBD_FEATURE_FAST_DIFF) == 0) {
    return "the image does not have the feature fast-diff";
  }
  if (rbd_get_flags(m_image, &flags) < 0 ||
      (flags & (k_flag_object_map_invalid | k_flag_fast_diff_invalid)) != 0) {
    return "the object map is invalid (rbd object-map rebuild)";
  }
  return {};
}

void RbdImage::resize(std::uint64_t size) {
  // librbd calls it without asking whether there is one.
  const auto ignore = [](std::uint64_t, std::uint64_t, void*) { return 0; };
  const int status = rbd_resize2(m_image, size, true, ignore, nullptr);
  if (status < 0) {
    throw ceph_error("cannot make it " + std::to_string(size) + " bytes long", m_uri, status);
  }
  read_facts();
}

std::string canonical_rbd(const Endpoint& endpoint) {
  const Pool pool(endpoint);
  const std::string space = endpoint.rbd.space.empty() ? "" : endpoint.rbd.space + "/";
  const std::string where = "rbd:" + endpoint.ceph->fsid() + "/" +
                            std::to_string(rados_ioctx_get_id(pool.get())) + "/" + space;
  const auto image = RbdImage::find(endpoint);
  return where + (image ? image->id() : "name:" + endpoint.rbd.image);
}

bool rbd_exists(const Endpoint& endpoint) {
  return RbdImage::find(endpoint) != nullptr;
}

}  // namespace hamal
