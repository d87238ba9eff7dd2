// The keys of a [platform NAME] section of type openstack_ceph.
#pragma once
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "hamal/config/config.hpp"
#include "hamal/util/host_mapping.hpp"

namespace hamal::openstack {

/// Who logs in, where, and to what. A project, a domain and a user are names, or ids (32
/// hexadecimal digits, and "default" of a domain).
struct LoginSettings {
  std::string url;  ///< of Keystone, ends with /v3
  std::string user;
  std::string user_domain = "Default";
  /// Of the user, or of the application credential.
  SecretReference secret;
  std::string project;
  std::string project_domain = "Default";
  /// Its id, or its name when there is a user; empty: by password.
  std::string application_credential;
  std::string region;  ///< empty: the only one there is
  std::string interface = "public";
  std::string ca_file;
  std::string object;  ///< "[platform NAME]", for messages
  std::vector<HostMapping> mappings;
};

/// Where images of a kind lie.
struct PoolMapping {
  std::string cluster;  ///< of a [ceph NAME] section; empty: `ceph`
  std::string pool;
};

struct Settings {
  std::string platform;  ///< NAME
  LoginSettings login;
  std::string ceph;  ///< the [ceph NAME] section that is tried first; empty: the configuration's
  /// By volume type, or by one of the two words below.
  std::map<std::string, PoolMapping> pools;
  std::chrono::milliseconds task_timeout{3'600'000};
};

/// Volumes of types that have no mapping of their own.
inline constexpr const char* k_default_volume_type = "DEFAULT_VOLUME_TYPE";
/// Disks that Nova keeps itself, in its own pool.
inline constexpr const char* k_nova_disks = "CEPH_GLANCE_VMS";

/// Throws Error(usage) with file, line and key.
Settings read_settings(const std::string& name, const NamedSection& section, const Config& config);

}  // namespace hamal::openstack
