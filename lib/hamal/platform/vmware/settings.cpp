// Checks the keys of the section.
#include "hamal/platform/vmware/settings.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "hamal/config/values.hpp"
#include "hamal/net/thumbprint.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal::vmware {
namespace {

constexpr std::string_view k_scheme = "https://";

[[noreturn]] void refuse(const NamedSection& section, const std::string& key,
                         const std::string& problem, const std::string& allowed) {
  const auto found = section.origins.find(key);
  const ConfigOrigin& origin = found == section.origins.end() ? section.origin : found->second;
  throw Error(ErrorKind::usage, fmt::format("[platform {}] {}: {}", section.name, key, problem),
              fmt::format("{}:{}", origin.file, origin.line), allowed);
}

std::string base_of(const NamedSection& section) {
  std::string base = section.require("endpoint");
  if (!base.starts_with(k_scheme)) {
    refuse(section, "endpoint", "is not https://, and nothing else is spoken to vSphere",
           "write https://HOST[:PORT]");
  }
  while (base.ends_with('/')) {
    base.pop_back();
  }
  if (base.ends_with("/sdk")) {
    base.resize(base.size() - 4);
  }
  const std::string host = base.substr(std::min(k_scheme.size(), base.size()));
  const bool odd = std::any_of(host.begin(), host.end(), [](unsigned char c) {
    return c <= ' ' || c >= 0x7f || c == '/' || c == '?' || c == '#' || c == '@';
  });
  if (host.empty() || odd) {
    refuse(section, "endpoint", "is not the address of a vCenter or an ESXi host",
           "write https://HOST[:PORT]");
  }
  return base;
}

std::chrono::milliseconds duration_of(const NamedSection& section, const std::string& key,
                                      const std::string& fallback) {
  const std::string text = section.get(key, fallback);
  const auto duration = parse_duration(text);
  if (!duration || duration->count() <= 0) {
    refuse(section, key, "not a duration: " + text, "for example 30m, 2h");
  }
  return *duration;
}

bool truth_of(const NamedSection& section, const std::string& key) {
  const auto value = parse_bool(section.get(key, "no"));
  if (!value) {
    refuse(section, key, "not a truth value", "True or False");
  }
  return *value;
}

unsigned count_of(const NamedSection& section, const std::string& key, const std::string& fallback,
                  const CountRange& range) {
  const auto count = parse_count(section.get(key, fallback), range);
  if (!count) {
    refuse(section, key, "not a count", allowed_count(range));
  }
  return static_cast<unsigned>(*count);
}

/// An export of the disk's size may be of another time, or another disk. Where the URI names both,
/// a server has no other one under that name.
void require_frozen(const NamedSection& section) {
  const std::string uri = section.require("nbd_uri");
  const bool names =
      uri.find("{snapshot}") != std::string::npos && uri.find("{disk}") != std::string::npos;
  if (!names && !truth_of(section, "nbd_uri_is_frozen")) {
    refuse(section, "nbd_uri",
           "does not name {snapshot} and {disk}, so that it may serve anything of the right size",
           "put both into it, or vouch for what it serves with nbd_uri_is_frozen = True: "
           "hamal-vmware(7), READING DISKS");
  }
}

ReadBy read_by_of(const NamedSection& section) {
  const std::string word = section.get("read_by", "auto");
  if (word == "vddk") {
    return ReadBy::vddk;
  }
  if (word == "https") {
    return ReadBy::https;
  }
  if (word != "nbd") {
    return ReadBy::automatic;
  }
  require_frozen(section);
  return ReadBy::nbd;
}

VddkSettings vddk_of(const NamedSection& section) {
  VddkSettings vddk;
  vddk.libdir = section.get("vddk_libdir");
  vddk.plugin = section.get("vddk_plugin", vddk.plugin);
  vddk.nbdkit = section.get("nbdkit", vddk.nbdkit);
  vddk.transports = section.get("vddk_transports", vddk.transports);
  const CountRange connections{1, 52};
  vddk.connections_per_host = count_of(section, "vddk_connections_per_host", "16", connections);
  vddk.connections = count_of(section, "vddk_connections", "48", connections);
  vddk.wait = duration_of(section, "vddk_wait", "30m");
  return vddk;
}

}  // namespace

Settings read_settings(const std::string& name, const NamedSection& section) {
  Settings settings;
  settings.platform = name;
  settings.endpoint.base = base_of(section);
  settings.endpoint.user = section.require("user");
  settings.endpoint.secret = parse_secret(section.require("secret"));
  settings.endpoint.ca_file = section.get("ca_file");
  settings.endpoint.object = "[platform " + section.name + "]";
  if (const std::string thumbprint = section.get("thumbprint"); !thumbprint.empty()) {
    settings.endpoint.thumbprint =
        parse_thumbprint(thumbprint, settings.endpoint.object + " thumbprint");
  }
  settings.enable_tracking =
      truth_of(section, "enable_change_tracking") ? EnableTracking::yes : EnableTracking::no;
  settings.task_timeout = duration_of(section, "task_timeout", "1h");
  settings.max_snapshots = count_of(section, "max_snapshots", "16", {1, 31});
  settings.max_sessions = count_of(section, "max_sessions", "50", {2, 1000});
  const auto min_free = parse_size(section.get("datastore_min_free", "1G"));
  if (!min_free) {
    refuse(section, "datastore_min_free", "not a size", "for example 5G");
  }
  settings.datastore_min_free = *min_free;
  settings.read_by = read_by_of(section);
  settings.vddk = vddk_of(section);
  settings.nbd_uri = section.get("nbd_uri");
  if (const std::string word = section.get("folder_encoding"); !word.empty()) {
    settings.folder_encoding = word == "double" ? FolderEncoding::twice : FolderEncoding::single;
  }
  return settings;
}

}  // namespace hamal::vmware
