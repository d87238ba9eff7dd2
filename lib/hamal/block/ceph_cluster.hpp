// A connection to a Ceph cluster, shared by all images that are opened over it.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "hamal/util/error.hpp"

namespace hamal {

enum class CephAuth { cephx, none };
/// How changed extents are found: every write by itself, or whole objects by the object map, which
/// is quick on huge images and coarse.
enum class RbdDiff { exact, fast };

/// What a [ceph NAME] section says (hamal.conf(5)).
struct CephSettings {
  std::string name;       ///< of the section, for messages
  std::string mon_host;   ///< as Ceph takes it; empty: of conf_file
  std::string conf_file;  ///< empty: none is read
  std::string user;       ///< without "client."
  std::string key;        ///< of CephX; never shown
  CephAuth auth = CephAuth::cephx;
  RbdDiff diff = RbdDiff::exact;
  /// After it an operation has failed: without one, an OSD that is full or away is waited for
  /// without end.
  std::chrono::milliseconds osd_timeout{60'000};
  std::chrono::milliseconds mon_timeout{30'000};
};

/// Thread-safe. Connects when it is first used; a connection that failed is tried again.
class CephCluster {
 public:
  explicit CephCluster(CephSettings settings);
  ~CephCluster();
  CephCluster(const CephCluster&) = delete;
  CephCluster& operator=(const CephCluster&) = delete;

  const CephSettings& settings() const noexcept { return m_settings; }
  /// A rados_t. Throws Error: transient when no monitor answers within mon_timeout.
  void* handle();
  /// The cluster's own id.
  std::string fsid();
  /// An io context (rados_ioctx_t) of a pool and a namespace of it; `object` is for errors. Given
  /// back to close_pool().
  void* open_pool(const std::string& pool, const std::string& space, const std::string& object);
  static void close_pool(void* context) noexcept;
  /// What this connection is called in the cluster: "client.ID".
  std::uint64_t client_id();

 private:
  CephSettings m_settings;
  std::mutex m_mutex;
  void* m_handle = nullptr;
};

/// An Error in Ceph's words and with what to do; `status` is negative, as librados and librbd
/// return it. Timeouts, a lost connection and a blocklisted client are transient.
Error ceph_error(const std::string& what, const std::string& object, int status);

}  // namespace hamal
