// The keys of a [platform NAME] section of type vmware.
#pragma once
#include <chrono>
#include <optional>
#include <string>

#include "hamal/config/config.hpp"
#include "hamal/platform/vmware/folder_reader.hpp"
#include "hamal/platform/vmware/vim_client.hpp"

namespace hamal::vmware {

enum class EnableTracking { no, yes };

/// How disks are read: automatic chooses vddk when vddk_libdir or vddk_plugin is set, else https.
enum class ReadBy { automatic, vddk, https, nbd };

struct VddkSettings {
  std::string libdir;  ///< VMware's library; empty: where nbdkit finds it
  std::string plugin = "vddk";
  std::string nbdkit = "nbdkit";
  std::string transports = "file:nbdssl:nbd";
  unsigned connections_per_host = 16;
  unsigned connections = 48;                  ///< through one vCenter, of all its hosts
  std::chrono::milliseconds wait{1'800'000};  ///< for one that becomes free
};

struct Settings {
  std::string platform;  ///< NAME
  VimEndpoint endpoint;
  EnableTracking enable_tracking = EnableTracking::no;
  std::chrono::milliseconds task_timeout{3'600'000};
  unsigned max_snapshots = 16;                    ///< of a vm, ours too
  unsigned max_sessions = 50;                     ///< of this proxy at the server
  std::uint64_t datastore_min_free = 1ULL << 30;  ///< bytes
  ReadBy read_by = ReadBy::automatic;
  VddkSettings vddk;
  /// With {vm}, {vm_id}, {object}, {disk}, {snapshot}: the last two, unless the operator vouches
  /// for what is served.
  std::string nbd_uri;
  std::optional<FolderEncoding> folder_encoding;  ///< nullopt: as the kind of server wants it
};

/// Throws Error(usage) with file, line and key.
Settings read_settings(const std::string& name, const NamedSection& section);

}  // namespace hamal::vmware
