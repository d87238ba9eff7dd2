#include "hamal/platform/fusioncompute/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "hamal/config/values.hpp"
#include "hamal/net/thumbprint.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal::fusioncompute {
namespace {

constexpr std::string_view k_scheme = "https://";
constexpr const char* k_port = "7443";
constexpr const char* k_address = "write https://HOST[:PORT]; the port is 7443 by default";

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
    refuse(section, "endpoint", "is not https://, and nothing else is spoken to a VRM", k_address);
  }
  while (base.ends_with('/')) {
    base.pop_back();
  }
  const std::string host = base.substr(std::min(k_scheme.size(), base.size()));
  const bool odd = std::any_of(host.begin(), host.end(), [](unsigned char c) {
    return c <= ' ' || c >= 0x7f || c == '/' || c == '?' || c == '#' || c == '@';
  });
  if (host.empty() || odd) {
    refuse(section, "endpoint", "is not the address of a VRM", k_address);
  }
  const std::size_t colon = host.rfind(':');
  const bool has_port = colon != std::string::npos && host.back() != ']' &&
                        (host.front() == '[' || host.find(':') == colon);
  return has_port ? base : fmt::format("{}:{}", base, k_port);
}

unsigned count_of(const NamedSection& section, const std::string& key, const char* fallback,
                  CountRange range) {
  const auto count = parse_count(section.get(key, fallback), range);
  if (!count) {
    refuse(section, key, "not a count", allowed_count(range));
  }
  return static_cast<unsigned>(*count);
}

ReadBy read_by_of(const NamedSection& section) {
  constexpr std::array<std::pair<std::string_view, ReadBy>, 5> k_words{
      {{"auto", ReadBy::automatic},
       {"rbd", ReadBy::rbd},
       {"nbd", ReadBy::nbd},
       {"file", ReadBy::file},
       {"vna_socket", ReadBy::vna_socket}}};
  const std::string word = section.get("reader", "auto");
  for (const auto& [known, way] : k_words) {
    if (word == known) {
      return way;
    }
  }
  refuse(section, "reader", "not a way to read", "auto, rbd, nbd, file or vna_socket");
}

VnaSettings vna_of(const NamedSection& section, const FusionComputeSection& common) {
  VnaSettings vna;
  vna.local_ip = common.local_host_ip;
  vna.transport =
      section.get("vna_transport", "lanssl") == "lan" ? Transport::lan : Transport::lanssl;
  const auto lease = parse_duration(section.get("vna_lease", "10m"));
  if (!lease || *lease < std::chrono::minutes(1) || *lease > std::chrono::hours(2)) {
    refuse(section, "vna_lease", "not a lease", "60s to 2h");
  }
  vna.lease = std::chrono::duration_cast<std::chrono::seconds>(*lease);
  const auto wait = parse_duration(section.get("vna_wait", "30m"));
  if (!wait || *wait < std::chrono::seconds(1) || *wait > std::chrono::hours(24)) {
    refuse(section, "vna_wait", "not a time to wait", "1s to 24h");
  }
  vna.wait = std::chrono::duration_cast<std::chrono::milliseconds>(*wait);
  vna.disks_per_host = std::min(count_of(section, "vna_disks_per_host", "1", {1, 1024}),
                                common.max_socket_connections_per_host);
  const auto bitmap = parse_bool(section.get("full_by_bitmap", "no"));
  if (!bitmap) {
    refuse(section, "full_by_bitmap", "not a truth value", "True or False");
  }
  vna.full_by_bitmap = *bitmap ? FullByBitmap::yes : FullByBitmap::no;
  return vna;
}

}  // namespace

Settings read_settings(const std::string& name, const NamedSection& section,
                       const FusionComputeSection& common) {
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
  settings.endpoint.api_version = section.get("api_version");
  settings.endpoint.auth_user_type = section.get("auth_user_type");
  settings.endpoint.auth_type = section.get("auth_type");
  settings.task_timeout = common.task_timeout;
  settings.create_timeout = common.create_snap_task_timeout;
  settings.delete_timeout = common.delete_snap_task_timeout;
  settings.max_snapshots = count_of(section, "max_snapshots", "16", {1, 31});
  settings.read_by = read_by_of(section);
  settings.vna = vna_of(section, common);
  settings.section = section;
  return settings;
}

}  // namespace hamal::fusioncompute
