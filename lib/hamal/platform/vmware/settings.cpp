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
  section.require("nbd_uri");
  return ReadBy::nbd;
}

VddkSettings vddk_of(const NamedSection& section) {
  VddkSettings vddk;
  vddk.libdir = section.get("vddk_libdir");
  vddk.plugin = section.get("vddk_plugin", vddk.plugin);
  vddk.nbdkit = section.get("nbdkit", vddk.nbdkit);
  vddk.transports = section.get("vddk_transports", vddk.transports);
  const CountRange connections{1, 52};
  const auto most = parse_count(section.get("vddk_connections_per_host", "16"), connections);
  if (!most) {
    refuse(section, "vddk_connections_per_host", "not a count", allowed_count(connections));
  }
  vddk.connections_per_host = static_cast<unsigned>(*most);
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
  const auto enable = parse_bool(section.get("enable_change_tracking", "no"));
  if (!enable) {
    refuse(section, "enable_change_tracking", "not a truth value", "True or False");
  }
  settings.enable_tracking = *enable ? EnableTracking::yes : EnableTracking::no;
  settings.task_timeout = duration_of(section, "task_timeout", "1h");
  const CountRange levels{1, 31};
  const auto most = parse_count(section.get("max_snapshots", "16"), levels);
  if (!most) {
    refuse(section, "max_snapshots", "not a count of snapshots", allowed_count(levels));
  }
  settings.max_snapshots = static_cast<unsigned>(*most);
  const CountRange sessions{2, 1000};
  const auto most_sessions = parse_count(section.get("max_sessions", "50"), sessions);
  if (!most_sessions) {
    refuse(section, "max_sessions", "not a count of sessions", allowed_count(sessions));
  }
  settings.max_sessions = static_cast<unsigned>(*most_sessions);
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
