// The keys of a [platform NAME] section of type fusion_compute, and those of [fusion_compute].
#pragma once
#include <chrono>
#include <string>

#include "hamal/config/config.hpp"
#include "hamal/platform/fusioncompute/vrm_client.hpp"

namespace hamal::fusioncompute {

/// How disks are read. Automatic never chooses vna_socket.
enum class ReadBy { automatic, rbd, nbd, file, vna_socket };

enum class Transport { lan, lanssl };
/// Whether a full reads only the blocks that getcbt says hold anything.
enum class FullByBitmap { no, yes };

struct VnaSettings {
  Transport transport = Transport::lanssl;
  std::chrono::seconds lease{600};
  unsigned disks_per_host = 1;
  std::chrono::milliseconds wait{0};  ///< for one of them while other runs have all
  std::string local_ip;
  FullByBitmap full_by_bitmap = FullByBitmap::no;
};

struct Settings {
  std::string platform;  ///< NAME
  VrmEndpoint endpoint;
  std::chrono::milliseconds task_timeout{0};
  std::chrono::milliseconds create_timeout{0};
  std::chrono::milliseconds delete_timeout{0};
  unsigned max_snapshots = 16;  ///< of a vm, ours too
  ReadBy read_by = ReadBy::automatic;
  VnaSettings vna;
  NamedSection section;  ///< for the templates, by datastore
};

/// Throws Error(usage) with file, line and key.
Settings read_settings(const std::string& name, const NamedSection& section,
                       const FusionComputeSection& common);

}  // namespace hamal::fusioncompute
