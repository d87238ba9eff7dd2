// The clusters of the [ceph NAME] sections.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "hamal/block/ceph_cluster.hpp"
#include "hamal/block/endpoint.hpp"
#include "hamal/config/config.hpp"

namespace hamal {

/// Thread-safe. Each cluster is one connection, made when it is first used. `config` outlives it.
class CephClusters {
 public:
  explicit CephClusters(const Config& config) : m_config(config) {}

  /// Gives an rbd: endpoint its cluster, and the name of its section; others are returned as they
  /// are. Throws Error(usage) when no section is meant, or more than one may be.
  Endpoint attach(Endpoint endpoint);
  /// The cluster of a section; `object` is for errors.
  std::shared_ptr<CephCluster> cluster(const std::string& name, const std::string& object);

 private:
  const Config& m_config;
  std::mutex m_mutex;
  std::map<std::string, std::shared_ptr<CephCluster>> m_clusters;
};

/// Of a section, with its secret. Throws Error(usage).
CephSettings read_ceph_settings(const NamedSection& section);
/// The key of a user in the text of a keyring, or the text itself when it is a bare key. Throws
/// Error(usage), without a word of the text.
std::string key_of_keyring(const std::string& text, const std::string& user,
                           const std::string& object);

}  // namespace hamal
