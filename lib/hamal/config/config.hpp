// hamal.conf: every key of it, typed (hamal.conf(5)).
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hamal/util/host_mapping.hpp"

namespace hamal {

/// Where a value came from; for messages.
struct ConfigOrigin {
  std::string file;
  int line = 0;
};

/// A secret by reference: resolved when used, never printed.
struct SecretReference {
  enum class Kind { none, plain, file, environment, credential };
  Kind kind = Kind::none;
  std::string value;  ///< path, variable or credential name; the secret itself when plain
};

struct DefaultSection {
  bool debug = false;
  bool verbose = false;
  std::string log_dir = "/var/log/hamal";
  std::string log_rotation_type = "size";
  unsigned max_logfile_count = 10;
  unsigned max_logfile_size_mb = 64;
  std::string hamal_lib_dir = "/var/lib/hamal/";
  std::string hamal_info_path = "/var/lib/hamal/hamal_info";
};

struct PeriodSection {
  std::chrono::milliseconds interval{60'000};
  std::chrono::milliseconds task_update_wait_time{1'000};
  std::chrono::milliseconds openstack_release_cpu_time{0};
  std::chrono::milliseconds vmware_release_cpu_time{0};
};

struct MassSection {
  std::string mass_endpoint;
  SecretReference auth_key;
  std::string hyper_exporter_id;
  std::chrono::milliseconds default_request_timeout{600'000};
  std::string public_key_path;
  bool enable_get_public_ips = false;
  std::chrono::milliseconds get_public_ip_timeout{5'000};
  bool enable_heartbeat_msg = true;
};

/// [vmware], [openstack_ceph] and every other platform type's section.
struct PlatformTypeSection {
  bool skip_disk_flag = false;
  unsigned disk_flag_size_mb = 48;
  unsigned max_read_blocks = 1024;  ///< vmware: 512-byte blocks per read request
};

struct SyncSection {
  bool save_local_snapshot_metadata = false;
  bool upload_metadata_to_oss = false;
  std::string metadata_store;
  std::chrono::milliseconds snapshot_max_hold{24LL * 3'600'000};
  std::chrono::milliseconds outage_max{6LL * 3'600'000};
  std::uint64_t memory_limit = 512ULL << 20;  ///< bytes
  std::string scratch_dir;
  std::chrono::milliseconds lease_ttl{60'000};
};

struct DataSyncSection {
  std::chrono::milliseconds fsync_period_frequency{3'000};
  std::chrono::milliseconds fsync_timeout{0};  ///< 0: none
  unsigned parallel_sync_disks_count = 4;
  unsigned pre_disk_readers_count = 2;
  unsigned max_parallel_sync_disks_count = 16;
  unsigned max_pre_disk_readers_count = 16;
};

struct FusionComputeSection {
  std::chrono::milliseconds task_timeout{3'600'000};
  std::chrono::milliseconds create_snap_task_timeout{3'600'000};
  std::chrono::milliseconds delete_snap_task_timeout{3'600'000};
  std::string local_host_ip;
  unsigned max_socket_connections_per_host = 8;
  unsigned max_writer_num = 10;
};

/// Keys of repositories, and how records are stored. A file: that is a directory has one file per
/// repository in it, named by its id.
struct RepositorySection {
  SecretReference index_key;
  SecretReference private_key;
  unsigned compression = 1;  ///< level of zstd, 0: none
};

/// A [platform NAME], [s3 NAME], [ceph NAME] or [job NAME] section: checked by what uses it, with
/// the origin of each value at hand.
struct NamedSection {
  std::string name;
  ConfigOrigin origin;
  std::map<std::string, std::string> values;
  std::map<std::string, ConfigOrigin> origins;

  bool has(const std::string& key) const { return values.contains(key); }
  /// The value, or the default when absent or empty.
  std::string get(const std::string& key, const std::string& fallback = {}) const;
  /// Throws Error(usage) with file, line of the section and the key when absent or empty.
  std::string require(const std::string& key) const;
};

struct Config {
  DefaultSection defaults;
  PeriodSection period;
  MassSection mass;
  std::map<std::string, PlatformTypeSection> platform_types;  ///< by type word
  SyncSection sync;
  DataSyncSection data_sync;
  FusionComputeSection fusion_compute;
  RepositorySection repository;
  std::string database_connection;  ///< empty: sqlite in hamal_lib_dir
  SecretReference database_password;
  std::map<std::string, NamedSection> platforms;
  std::map<std::string, NamedSection> s3;
  std::map<std::string, NamedSection> ceph;
  std::map<std::string, NamedSection> jobs;
  /// {section, key} of the sections that exist once → where it was set last; absent: the default.
  std::map<std::pair<std::string, std::string>, ConfigOrigin> origins;
  /// No key: what the console said last of names that no resolver knows; the tool puts it here.
  std::vector<HostMapping> host_mappings;
  std::vector<std::string> warnings;  ///< unknown keys, loose modes: to be logged by the caller

  const PlatformTypeSection& platform_type(const std::string& type) const;
  /// [database] connection, or sqlite in hamal_lib_dir when it is not set.
  std::string state_connection() const;
};

inline constexpr const char* k_default_config_path = "/etc/hamal/hamal.conf";

/// Reads `path` and then `<directory of path>/conf.d/*.conf` in the order of their names. A default
/// path that does not exist gives the defaults; one that was named must exist. Throws Error(usage)
/// "FILE:LINE: [section] key: what is wrong, what is allowed".
Config load_config(const std::filesystem::path& path, bool must_exist);

/// One text, for tests and fuzzing; `name` stands for the file in messages.
Config parse_config(const std::string& text, const std::string& name);

/// Reads the secret. File secrets readable by others are refused. Throws Error(usage). Trailing
/// newline removed.
std::string resolve_secret(const SecretReference& secret, const std::string& what);
/// "file:PATH", "env:NAME", "credential:NAME", anything else: plain.
SecretReference parse_secret(const std::string& text);

}  // namespace hamal
