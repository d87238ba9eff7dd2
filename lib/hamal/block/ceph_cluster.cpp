// Connecting to a Ceph cluster by librados.
#include "hamal/block/ceph_cluster.hpp"

#include <rados/librados.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hamal {
namespace {

// librados takes whole ones, and 0 for none at all.
std::string seconds(std::chrono::milliseconds time) {
  return std::to_string(std::max<std::int64_t>((time.count() + 999) / 1000, 1));
}

struct Option {
  const char* name;
  std::string value;
};

std::string section(const CephSettings& settings) {
  return "[ceph " + settings.name + "]";
}

void set(rados_t cluster, const CephSettings& settings, const Option& option) {
  if (const int status = rados_conf_set(cluster, option.name, option.value.c_str()); status < 0) {
    throw Error(ErrorKind::usage,
                "librados does not take " + std::string(option.name) + ": " + strerror(-status),
                section(settings));
  }
}

void configure(rados_t cluster, const CephSettings& settings) {
  if (!settings.conf_file.empty()) {
    if (const int status = rados_conf_read_file(cluster, settings.conf_file.c_str()); status < 0) {
      throw Error(ErrorKind::usage, "cannot read " + settings.conf_file + ": " + strerror(-status),
                  section(settings), "conf_file names a ceph.conf that this user may read");
    }
  }
  // The library prints nothing, and no daemon of theirs listens in this process.
  for (const char* name : {"log_to_stderr", "err_to_stderr"}) {
    set(cluster, settings, {name, "false"});
  }
  for (const char* name : {"log_file", "admin_socket"}) {
    set(cluster, settings, {name, ""});
  }
  // What a flush promises must not depend on a cache of this process.
  set(cluster, settings, {"rbd_cache", "false"});
  set(cluster, settings, {"rados_osd_op_timeout", seconds(settings.osd_timeout)});
  set(cluster, settings, {"rados_mon_op_timeout", seconds(settings.mon_timeout)});
  set(cluster, settings, {"client_mount_timeout", seconds(settings.mon_timeout)});
  if (!settings.mon_host.empty()) {
    set(cluster, settings, {"mon_host", settings.mon_host});
  }
  set(cluster, settings,
      {"auth_client_required", settings.auth == CephAuth::cephx ? "cephx" : "none"});
  if (settings.auth == CephAuth::cephx) {
    set(cluster, settings, {"key", settings.key});
  }
}

}  // namespace

CephCluster::CephCluster(CephSettings settings) : m_settings(std::move(settings)) {}

CephCluster::~CephCluster() {
  if (m_handle != nullptr) {
    rados_shutdown(m_handle);
  }
}

void* CephCluster::handle() {
  const std::lock_guard lock(m_mutex);
  if (m_handle != nullptr) {
    return m_handle;
  }
  rados_t cluster = nullptr;
  const std::string name = "client." + m_settings.user;
  if (const int status = rados_create2(&cluster, "ceph", name.c_str(), 0); status < 0) {
    throw ceph_error("cannot set up a client", section(m_settings), status);
  }
  try {
    configure(cluster, m_settings);
  } catch (...) {
    rados_shutdown(cluster);
    throw;
  }
  if (const int status = rados_connect(cluster); status < 0) {
    rados_shutdown(cluster);
    if (status == -EACCES || status == -EPERM || status == -EKEYREJECTED || status == -EINVAL) {
      throw Error(ErrorKind::usage, "the cluster refuses " + name + ": " + strerror(-status),
                  section(m_settings), "compare keyring with: ceph auth get " + name);
    }
    throw Error(ErrorKind::failed,
                "cannot connect to the cluster as " + name + ": " + strerror(-status),
                section(m_settings), "is a monitor of mon_host up, and reachable from here?",
                Transience::transient);
  }
  m_handle = cluster;
  return m_handle;
}

std::string CephCluster::fsid() {
  std::array<char, 64> text{};
  const int status = rados_cluster_fsid(handle(), text.data(), text.size());
  if (status < 0) {
    throw ceph_error("cannot ask for the cluster's id", section(m_settings), status);
  }
  return text.data();
}

void* CephCluster::open_pool(const std::string& pool, const std::string& space,
                             const std::string& object) {
  rados_ioctx_t context = nullptr;
  const int status = rados_ioctx_create(handle(), pool.c_str(), &context);
  if (status == -ENOENT) {
    throw Error(ErrorKind::usage, "there is no pool \"" + pool + "\"", object,
                "ceph osd pool ls shows them all");
  }
  if (status < 0) {
    throw ceph_error("cannot open the pool", object, status);
  }
  rados_ioctx_set_namespace(context, space.c_str());
  return context;
}

void CephCluster::close_pool(void* context) noexcept {
  if (context != nullptr) {
    rados_ioctx_destroy(context);
  }
}

std::uint64_t CephCluster::client_id() {
  return rados_get_instance_id(handle());
}

Error ceph_error(const std::string& what, const std::string& object, int status) {
  const int code = -status;
  const std::string problem = what + ": " + strerror(code);
  switch (code) {
    case EPERM:
    case EACCES:
      return {ErrorKind::failed, problem, object,
              "the Ceph user's capabilities do not allow it; see hamal.conf(5), [ceph NAME]"};
    case ETIMEDOUT:
      return {ErrorKind::failed, problem, object,
              "an OSD or a monitor does not answer, or the cluster is full: ceph status",
              Transience::transient};
    case ESHUTDOWN:
      return {ErrorKind::failed, problem + " (this client was blocklisted)", object,
              "another client took the image over; see ceph osd blocklist ls",
              Transience::transient};
    case ENOTCONN:
    case EAGAIN:
      return {ErrorKind::failed, problem, object, {}, Transience::transient};
    default:
      return system_error(what, object, code);
  }
}

}  // namespace hamal
