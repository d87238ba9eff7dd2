#include "hamal/platform/ceph_clusters.hpp"

#include <sstream>

#include "hamal/config/values.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

constexpr const char* k_default_cluster = "default";

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

std::string label(const NamedSection& section) {
  return "[ceph " + section.name + "]";
}

const NamedSection& section_of(const Config& config, const std::string& name,
                               const std::string& object) {
  const std::string meant = name.empty() ? k_default_cluster : name;
  if (const auto found = config.ceph.find(meant); found != config.ceph.end()) {
    return found->second;
  }
  if (name.empty() && config.ceph.size() == 1) {
    return config.ceph.begin()->second;
  }
  if (name.empty() && !config.ceph.empty()) {
    throw Error(ErrorKind::usage, "there are several [ceph NAME] sections: of which cluster?",
                object, "write rbd://NAME/POOL/IMAGE, or call one section [ceph default]");
  }
  throw Error(ErrorKind::usage,
              "there is no section [ceph " + (name.empty() ? std::string("NAME") : name) + "]",
              object, "describe the cluster there; see hamal.conf(5)");
}

}  // namespace

std::string key_of_keyring(const std::string& text, const std::string& user,
                           const std::string& object) {
  if (text.find('[') == std::string::npos && text.find('=') > text.find_last_not_of("= \t\r\n")) {
    return trimmed(text);
  }
  const std::string wanted = "[client." + user + "]";
  std::istringstream lines(text);
  std::string line;
  bool inside = false;
  while (std::getline(lines, line)) {
    line = trimmed(line);
    if (line.starts_with('[')) {
      inside = line == wanted;
      continue;
    }
    const std::size_t equals = line.find('=');
    if (inside && equals != std::string::npos && trimmed(line.substr(0, equals)) == "key") {
      return trimmed(line.substr(equals + 1));
    }
  }
  throw Error(ErrorKind::usage, "the keyring has no key of client." + user, object,
              "make it with: ceph auth get client." + user);
}

CephSettings read_ceph_settings(const NamedSection& section) {
  CephSettings settings;
  settings.name = section.name;
  settings.conf_file = section.get("conf_file");
  settings.mon_host = section.get("mon_host");
  if (settings.conf_file.empty() && settings.mon_host.empty()) {
    section.require("mon_host");
  }
  settings.user = section.get("user", "hamal");
  settings.auth = section.get("auth") == "none" ? CephAuth::none : CephAuth::cephx;
  settings.diff = section.get("diff") == "fast" ? RbdDiff::fast : RbdDiff::exact;
  if (settings.auth == CephAuth::cephx) {
    const std::string what = label(section) + " keyring";
    settings.key = key_of_keyring(resolve_secret(parse_secret(section.get("keyring")), what),
                                  settings.user, what);
  }
  // The loader has checked them against the table of keys.
  settings.osd_timeout = parse_duration(section.get("osd_timeout")).value_or(settings.osd_timeout);
  settings.mon_timeout = parse_duration(section.get("mon_timeout")).value_or(settings.mon_timeout);
  return settings;
}

std::shared_ptr<CephCluster> CephClusters::cluster(const std::string& name,
                                                   const std::string& object) {
  const NamedSection& section = section_of(m_config, name, object);
  const std::lock_guard lock(m_mutex);
  auto& cluster = m_clusters[section.name];
  if (!cluster) {
    cluster = std::make_shared<CephCluster>(read_ceph_settings(section));
  }
  return cluster;
}

Endpoint CephClusters::attach(Endpoint endpoint) {
  if (endpoint.kind == EndpointKind::rbd && !endpoint.ceph) {
    endpoint.ceph = cluster(endpoint.rbd.cluster, endpoint.uri);
    endpoint.rbd.cluster = endpoint.ceph->settings().name;
  }
  return endpoint;
}

}  // namespace hamal
