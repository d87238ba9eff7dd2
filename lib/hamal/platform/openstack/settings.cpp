// Checks the keys of the section.
#include "hamal/platform/openstack/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal::openstack {
namespace {

constexpr std::string_view k_pool_key = "pool.";

[[noreturn]] void refuse(const NamedSection& section, const std::string& key,
                         const std::string& problem, const std::string& allowed) {
  const auto found = section.origins.find(key);
  const ConfigOrigin& origin = found == section.origins.end() ? section.origin : found->second;
  throw Error(ErrorKind::usage, fmt::format("[platform {}] {}: {}", section.name, key, problem),
              fmt::format("{}:{}", origin.file, origin.line), allowed);
}

std::string url_of(const NamedSection& section) {
  std::string url = section.require("endpoint");
  const bool odd = std::any_of(url.begin(), url.end(), [](unsigned char c) {
    return c <= ' ' || c >= 0x7f || c == '?' || c == '#' || c == '@';
  });
  if (odd || (!url.starts_with("https://") && !url.starts_with("http://"))) {
    refuse(section, "endpoint", "is not the address of Keystone",
           "write https://HOST:PORT/v3, as OS_AUTH_URL has it");
  }
  while (url.ends_with('/')) {
    url.pop_back();
  }
  return url.ends_with("/v3") ? url : url + "/v3";
}

PoolMapping mapping_of(const NamedSection& section, const std::string& key,
                       const std::string& text) {
  const std::size_t slash = text.find('/');
  PoolMapping mapping;
  if (slash != std::string::npos) {
    mapping.cluster = text.substr(0, slash);
  }
  mapping.pool = slash == std::string::npos ? text : text.substr(slash + 1);
  const bool empty = mapping.pool.empty() || (slash != std::string::npos && slash == 0);
  if (empty || mapping.pool.find('/') != std::string::npos) {
    refuse(section, key, "is no pool: " + text, "write POOL, or CLUSTER/POOL");
  }
  return mapping;
}

void read_login(LoginSettings& login, const NamedSection& section) {
  login.object = "[platform " + section.name + "]";
  login.url = url_of(section);
  login.user = section.get("user");
  login.user_domain = section.get("user_domain", login.user_domain);
  login.secret = parse_secret(section.require("secret"));
  login.application_credential = section.get("application_credential");
  login.project = section.get("project");
  login.project_domain = section.get("project_domain", login.project_domain);
  login.region = section.get("region");
  login.interface = section.get("interface", login.interface);
  login.ca_file = section.get("ca_file");
  if (login.application_credential.empty()) {
    section.require("user");
    section.require("project");
  } else if (!login.project.empty()) {
    refuse(section, "project", "is given beside application_credential, which has one",
           "leave one of them out");
  }
}

}  // namespace

Settings read_settings(const std::string& name, const NamedSection& section, const Config& config) {
  Settings settings;
  settings.platform = name;
  read_login(settings.login, section);
  settings.login.mappings = config.host_mappings;
  settings.ceph = section.get("ceph");
  for (const auto& [key, value] : section.values) {
    if (key.starts_with(k_pool_key)) {
      settings.pools[key.substr(k_pool_key.size())] = mapping_of(section, key, value);
    }
  }
  // The loader has checked it against the table of keys.
  settings.task_timeout =
      parse_duration(section.get("task_timeout")).value_or(settings.task_timeout);
  return settings;
}

}  // namespace hamal::openstack
