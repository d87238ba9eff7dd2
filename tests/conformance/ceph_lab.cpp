#include "ceph_lab.hpp"

#include <rados/librados.h>
#include <rbd/librbd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "hamal/block/rbd_writer.hpp"
#include "hamal/util/error.hpp"
#include "io_helpers.hpp"

// librados 16.2 leaves something of OpenSSL's behind when several clients of one process have
// ended: one allocation of 904 bytes in all of these tests together, so not one per client or
// request. Only OpenSSL's allocator is left on its stack, so nothing narrower can be named, and a
// leak of ours through CRYPTO_zalloc would be hidden in this program; the other suites have no
// suppression.
extern "C" const char* __lsan_default_suppressions();   // NOLINT: the sanitizer's name
extern "C" const char* __lsan_default_suppressions() {  // NOLINT
  return "leak:CRYPTO_zalloc\n";
}

namespace hamal::testing {
namespace {

// Small objects, so that a few MiB are many of them.
constexpr const char* k_order = "14";

std::vector<std::string> command(const ScratchDirectory& scratch) {
  return {"env",
          "CEPH_RGW=no",
          "CEPH_POOLS=rbd other",
          std::string("CEPH_RBD_ORDER=") + k_order,
          std::string(HAMAL_SOURCE_DIR) + "/tests/lab/ceph.sh",
          "run",
          scratch.path().string()};
}

void require(int status, const char* what) {
  if (status < 0) {
    throw ceph_error(what, "", status);
  }
}

/// An image opened beside everything else.
class Opened {
 public:
  explicit Opened(const std::string& uri)
      : m_image(RbdImage::open_shared(CephLab::get().attach(uri))) {}
  rbd_image_t get() const { return m_image->handle(); }

 private:
  std::shared_ptr<RbdImage> m_image;
};

class Pool {
 public:
  explicit Pool(const std::string& uri) : m_endpoint(CephLab::get().attach(uri)) {
    m_context = m_endpoint.ceph->open_pool(m_endpoint.rbd.pool, "", uri);
  }
  ~Pool() { CephCluster::close_pool(m_context); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  rados_ioctx_t get() const { return m_context; }
  const char* image() const { return m_endpoint.rbd.image.c_str(); }

 private:
  Endpoint m_endpoint;
  void* m_context;
};

}  // namespace

CephLab::CephLab()
    : m_server(command(m_scratch)),
      m_config(parse_config(section(), "lab")),
      m_clusters(m_config) {}

CephLab& CephLab::get() {
  static CephLab lab;
  return lab;
}

std::string CephLab::why_missing() {
  for (const char* program : {"/usr/bin/ceph-mon", "/usr/bin/ceph-osd"}) {
    if (::access(program, X_OK) != 0) {
      return std::string(program) + " is not there: scripts/setup --tests installs it";
    }
  }
  return {};
}

std::string CephLab::section(const std::string& name, const std::string& user,
                             const std::string& more) const {
  return "[ceph " + name + "]\nconf_file = " + m_server.value("ceph_conf") + "\nuser = " + user +
         "\nkeyring = file:" + m_server.value("keyring") + "\n" + more + "\n";
}

Endpoint CephLab::attach(const std::string& uri) {
  return m_clusters.attach(parse_endpoint(uri));
}

std::string CephLab::new_uri() {
  return "rbd:rbd/image-" + std::to_string(++m_images);
}

Endpoint attach_lab(const Endpoint& endpoint) {
  return endpoint.kind == EndpointKind::rbd ? CephLab::get().attach(endpoint.uri) : endpoint;
}

std::string make_image(std::span<const std::byte> content) {
  const std::string uri = CephLab::get().new_uri();
  RbdImage::create(CephLab::get().attach(uri), content.size());
  constexpr std::size_t k_block = 4096;
  RbdWriter writer(RbdImage::open_exclusive(CephLab::get().attach(uri)));
  const auto queue = writer.open_queue();
  const auto is_zero = [&](std::size_t at) {
    const auto block = content.subspan(at, std::min(k_block, content.size() - at));
    return std::all_of(block.begin(), block.end(), [](std::byte b) { return b == std::byte{0}; });
  };
  for (std::size_t at = 0; at < content.size(); at += k_block) {
    std::size_t end = at;
    while (end < content.size() && !is_zero(end)) {
      end += k_block;
    }
    if (end > at) {
      write(*queue, at, content.subspan(at, std::min(end, content.size()) - at));
      at = end;
    }
  }
  writer.flush();
  return uri;
}

void write_image(const std::string& uri, std::uint64_t offset, std::span<const std::byte> data) {
  RbdWriter writer(RbdImage::open_exclusive(CephLab::get().attach(uri)));
  write(*writer.open_queue(), offset, data);
  writer.flush();
}

void zero_image(const std::string& uri, std::uint64_t offset, std::uint64_t length) {
  RbdWriter writer(RbdImage::open_exclusive(CephLab::get().attach(uri)));
  zero(*writer.open_queue(), offset, length);
  writer.flush();
}

void discard_image(const std::string& uri, std::uint64_t offset, std::uint64_t length) {
  require(rbd_discard(Opened(uri).get(), offset, length), "discard");
}

void clone_image(const std::string& parent, const std::string& snapshot, const std::string& child,
                 std::uint64_t features, int order) {
  const Pool from(parent);
  const Pool to(child);
  {
    const Opened image(parent);
    bool is_protected = false;
    int state = 0;
    require(rbd_snap_is_protected(image.get(), snapshot.c_str(), &state), "is protected");
    is_protected = state != 0;
    if (!is_protected) {
      require(rbd_snap_protect(image.get(), snapshot.c_str()), "protect");
    }
  }
  require(
      rbd_clone(from.get(), from.image(), snapshot.c_str(), to.get(), to.image(), features, &order),
      "clone");
}

void protect_snapshot(const std::string& uri, const std::string& snapshot) {
  require(rbd_snap_protect(Opened(uri).get(), snapshot.c_str()), "protect");
}

void leave_lock(const std::string& uri, const std::string& cookie) {
  const Config config = parse_config(CephLab::get().section(), "lab");
  CephClusters clusters(config);
  const Endpoint endpoint = clusters.attach(parse_endpoint(uri));
  const std::string object = "rbd_header." + RbdImage::find(endpoint)->id();
  // A cls_lock_lock_op: librados has no call for a lock with librbd's tag.
  std::string inner;
  const auto number = [](std::string& to, std::uint32_t value) {
    for (unsigned i = 0; i < 4; ++i) {
      to.push_back(static_cast<char>(value >> (8 * i)));
    }
  };
  const auto text = [&](const std::string& value) {
    number(inner, static_cast<std::uint32_t>(value.size()));
    inner += value;
  };
  text("rbd_lock");
  inner.push_back(1);  // exclusive
  text(cookie);
  text("internal");
  text("");
  number(inner, 0);
  number(inner, 0);
  inner.push_back(0);
  std::string operation("\x01\x01", 2);
  number(operation, static_cast<std::uint32_t>(inner.size()));
  operation += inner;
  rados_ioctx_t context = endpoint.ceph->open_pool(endpoint.rbd.pool, "", uri);
  const int status = rados_exec(context, object.c_str(), "lock", "lock", operation.data(),
                                operation.size(), nullptr, 0);
  CephCluster::close_pool(context);
  require(status, "lock");
}

void flatten_image(const std::string& uri) {
  require(rbd_flatten(Opened(uri).get()), "flatten");
}

void roll_back_image(const std::string& uri, const std::string& snapshot) {
  require(rbd_snap_rollback(Opened(uri).get(), snapshot.c_str()), "snap rollback");
}

void create_image(const std::string& uri, std::uint64_t size, std::uint64_t features, int order) {
  const Pool pool(uri);
  require(rbd_create2(pool.get(), pool.image(), size, features, &order), "create");
}

}  // namespace hamal::testing
