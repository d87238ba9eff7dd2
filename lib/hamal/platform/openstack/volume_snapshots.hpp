// Our snapshots of volumes in Cinder: made, found, kept as a base, removed.
//
// Each carries the id of the run's snapshot in its name, its description and its metadata, and the
// server's id in its metadata. The name says what it is for: "hamal-MARK-TIME-RANDOM" while it is
// held, with ".base" once it only marks where changes count from. One whose name or metadata were
// changed is somebody else's from then on.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "hamal/platform/openstack/client.hpp"
#include "hamal/report/log.hpp"

namespace hamal::openstack {

/// One of hamal's.
struct OurSnapshot {
  VolumeSnapshot snapshot;
  std::string id;    ///< of the run's snapshot: MARK-TIME-RANDOM
  std::string mark;  ///< of the installation that made it
  bool base = false;
};

enum class Removal {
  gone,
  busy,  ///< the driver would not: something was cloned from it, or it is open
};

/// Thread-safe, as its client is.
class VolumeSnapshots {
 public:
  VolumeSnapshots(Client& client, Logger& log, std::chrono::milliseconds timeout)
      : m_client(client), m_log(log), m_timeout(timeout) {}

  /// One of each volume: all are asked for before any is waited for. Throws, with Cinder's reason,
  /// and leaves what there is to remove().
  std::vector<VolumeSnapshot> create(const std::string& server,
                                     const std::vector<std::string>& volumes,
                                     const std::string& id);
  /// Of all installations, in the whole project.
  std::vector<OurSnapshot> of_server(const std::string& server);
  /// Throws ApiError(404) when it is not there.
  VolumeSnapshot look(const std::string& snapshot);
  void keep_as_base(const std::string& snapshot, const std::string& id);
  /// Waits for what really happens to it. Throws Error with Cinder's reason when it cannot be
  /// removed at all, or that is not seen in time. Gone already is gone.
  Removal remove(const VolumeSnapshot& snapshot);

 private:
  std::string request(const std::string& server, const std::string& volume, const std::string& id);
  VolumeSnapshot await(const std::string& snapshot);
  std::string reason_of(const std::string& snapshot);
  Error not_in_time(const VolumeSnapshot& snapshot) const;

  Client& m_client;
  Logger& m_log;
  std::chrono::milliseconds m_timeout;
};

/// What the RBD driver calls a snapshot of Cinder in the image.
std::string rbd_name_of(const std::string& snapshot);
/// The reverse; empty: it is none of Cinder's.
std::string volume_snapshot_of(const std::string& rbd_name);

}  // namespace hamal::openstack
