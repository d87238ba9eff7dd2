// In which cluster, pool and image a disk is.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "hamal/block/rbd_image.hpp"
#include "hamal/platform/ceph_clusters.hpp"
#include "hamal/platform/openstack/machine.hpp"

namespace hamal::openstack {

/// Not thread-safe. References outlive it.
class Images {
 public:
  Images(const Settings& settings, const Config& config, CephClusters& clusters)
      : m_settings(settings), m_config(config), m_clusters(clusters) {}

  /// Opened, without a snapshot, to be sure that it is there. What the hypervisor was told comes
  /// before what the configuration says. Throws Error that names where it was looked for.
  Endpoint find(const Machine& machine, const Disk& disk);
  /// Of Nova's disks that a server may have; those that are there. Never the server's state.
  std::vector<Endpoint> of_nova(const std::string& server);

 private:
  struct Candidate {
    std::string cluster;
    RbdName name;
  };
  std::vector<std::string> clusters(const std::string& wanted, const std::string& secret);
  std::vector<Candidate> candidates(const Machine& machine, const Disk& disk);
  void add(std::vector<Candidate>& all, const PoolMapping& mapping, const std::string& space,
           const std::string& image, const std::string& secret);

  const Settings& m_settings;
  const Config& m_config;
  CephClusters& m_clusters;
};

/// What Nova calls the image of one of its own disks.
std::string nova_image(const std::string& server, const std::string& disk);

}  // namespace hamal::openstack
