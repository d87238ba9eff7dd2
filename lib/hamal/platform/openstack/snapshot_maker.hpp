// Makes the snapshot of a run: which disks, whether there is room for it, all of them or none.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hamal/platform/openstack/images.hpp"
#include "hamal/platform/openstack/volume_snapshots.hpp"
#include "hamal/platform/platform.hpp"

namespace hamal::openstack {

/// References outlive it.
class SnapshotMaker {
 public:
  SnapshotMaker(Client& client, const Settings& settings, const PlatformContext& context,
                CephClusters& clusters)
      : m_client(client),
        m_settings(settings),
        m_context(context),
        m_clusters(clusters),
        m_images(settings, context.config, clusters) {}

  /// Leaves nothing behind when it throws.
  SnapshotDocument make(const Machine& machine, const SnapshotOptions& options);
  /// Over a login and with a token of its own: the run's may be the reason why we are here. Never
  /// throws a hamal::Error.
  void undo(const std::string& server, const std::string& id) noexcept;

 private:
  struct Part {
    Disk disk;
    Endpoint image;
    std::size_t index = 0;   ///< among the disks of the server
    std::string snapshot{};  ///< as the image calls it
  };
  std::vector<Part> choose(const Machine& machine, const SnapshotOptions& options);
  void check_quota(const Machine& machine, const std::vector<Part>& parts);
  void freeze(const Machine& machine, std::vector<Part>& parts, const std::string& id);

  Client& m_client;
  const Settings& m_settings;
  const PlatformContext& m_context;
  CephClusters& m_clusters;
  Images m_images;
};

}  // namespace hamal::openstack
