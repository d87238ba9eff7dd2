#include "hamal/config/keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "hamal/config/values.hpp"

namespace hamal {
namespace {

using namespace std::chrono_literals;
using std::string;
using std::chrono::milliseconds;

constexpr std::uint64_t k_megabyte = 1ULL << 20U;

// A key from its parts: `access` gives the field of a Config, const or not; `parse` makes its value
// from a text, or nullopt; `show` is the reverse. The default's text comes from a Config as it is
// made, so that no default is written twice.
template <typename Access, typename Parse, typename Show>
KeySpec make_key(string section, string key, string allowed, Access access, Parse parse,
                 Show show) {
  KeySpec spec{.section = std::move(section),
               .key = std::move(key),
               .fallback = {},
               .allowed = std::move(allowed),
               .sensitive = Sensitive::no,
               .set = {},
               .reset = {},
               .show = {}};
  spec.set = [access, parse](Config& config, const string& text) {
    auto value = parse(text);
    if (value) {
      access(config) = std::move(*value);
    }
    return value.has_value();
  };
  spec.reset = [access](Config& config) {
    const Config fresh;
    access(config) = access(fresh);
  };
  spec.show = [access, show](const Config& config) { return show(access(config)); };
  spec.fallback = spec.show(Config{});
  return spec;
}

template <typename Access>
KeySpec flag(string section, string key, Access access) {
  return make_key(
      std::move(section), std::move(key), "True or False (yes/no, on/off, 1/0)", access,
      [](const string& text) { return parse_bool(text); },
      [](bool value) { return string(value ? "True" : "False"); });
}

template <typename Access>
KeySpec count(string section, string key, Access access, CountRange range) {
  return make_key(
      std::move(section), std::move(key), allowed_count(range), access,
      [range](const string& text) -> std::optional<unsigned> {
        const auto value = parse_count(text, range);
        return value ? std::optional(static_cast<unsigned>(*value)) : std::nullopt;
      },
      [](unsigned value) { return std::to_string(value); });
}

template <typename Access>
KeySpec duration(string section, string key, Access access, DurationRange range) {
  return make_key(
      std::move(section), std::move(key), allowed_duration(range), access,
      [range](const string& text) { return parse_ranged_duration(text, range); },
      [range](milliseconds value) { return show_duration(value, range.bare); });
}

// Written in megabytes or with a unit, kept in a field of type Kept in multiples of `kept` bytes.
template <typename Kept, typename Access>
KeySpec megabytes(string section, string key, Access access, SizeRange range, std::uint64_t kept) {
  return make_key(
      std::move(section), std::move(key), allowed_size(range), access,
      [range, kept](const string& text) -> std::optional<Kept> {
        const auto value = parse_ranged_size(text, range);
        return value ? std::optional(static_cast<Kept>(*value / kept)) : std::nullopt;
      },
      [kept](Kept value) { return std::to_string(value * kept / k_megabyte); });
}

template <typename Access, typename Check>
KeySpec text(string section, string key, Access access, string allowed, Check check) {
  return make_key(
      std::move(section), std::move(key), std::move(allowed), access,
      [check](const string& value) { return check(value) ? std::optional(value) : std::nullopt; },
      [](const string& value) { return value; });
}

bool anything(const string& /*value*/) {
  return true;
}

bool is_absolute(const string& value) {
  return value.starts_with('/');
}

template <typename Access>
KeySpec absolute_path(string section, string key, Access access) {
  return text(std::move(section), std::move(key), access, "an absolute path", is_absolute);
}

string show_secret(const SecretReference& reference) {
  switch (reference.kind) {
    case SecretReference::Kind::none:
      return {};
    case SecretReference::Kind::plain:
      return "(a plain secret)";
    case SecretReference::Kind::file:
      return "file:" + reference.value;
    case SecretReference::Kind::environment:
      return "env:" + reference.value;
    case SecretReference::Kind::credential:
      return "credential:" + reference.value;
  }
  return {};
}

template <typename Access>
KeySpec secret(string section, string key, Access access) {
  KeySpec spec = make_key(
      std::move(section), std::move(key), "file:PATH, env:NAME, credential:NAME or the secret",
      access, [](const string& value) { return std::optional(parse_secret(value)); }, show_secret);
  spec.sensitive = Sensitive::yes;
  return spec;
}

// The field FIELD of a Config, const or not.
// NOLINTBEGIN(bugprone-macro-parentheses): a member's name cannot have any
#define HAMAL_FIELD(FIELD)    \
  [](auto& config) -> auto& { \
    return config.FIELD;      \
  }
// NOLINTEND(bugprone-macro-parentheses)

// [vmware] and the like: the section is made by the first key that is set, and has defaults until
// then.
template <typename Field>
auto type_field(string type, Field PlatformTypeSection::*field) {
  return [ type = std::move(type), field ](auto& config) -> auto& {
    if constexpr (std::is_const_v<std::remove_reference_t<decltype(config)>>) {
      return config.platform_type(type).*field;
    } else {
      return config.platform_types[type].*field;
    }
  };
}

const DurationRange k_task_timeout{1s, 7 * 24h};
const CountRange k_small_count{1, 1024};

void add_general(std::vector<KeySpec>& keys) {
  const string s = "DEFAULT";
  keys.push_back(flag(s, "debug", HAMAL_FIELD(defaults.debug)));
  keys.push_back(flag(s, "verbose", HAMAL_FIELD(defaults.verbose)));
  keys.push_back(absolute_path(s, "log_dir", HAMAL_FIELD(defaults.log_dir)));
  const std::vector<string> rotations{"size", "daily", "none"};
  keys.push_back(text(s, "log_rotation_type", HAMAL_FIELD(defaults.log_rotation_type),
                      allowed_words(rotations), [rotations](const string& value) {
                        return std::find(rotations.begin(), rotations.end(), value) !=
                               rotations.end();
                      }));
  keys.push_back(
      count(s, "max_logfile_count", HAMAL_FIELD(defaults.max_logfile_count), {1, 10'000}));
  keys.push_back(megabytes<unsigned>(s, "max_logfile_size_mb",
                                     HAMAL_FIELD(defaults.max_logfile_size_mb),
                                     {k_megabyte, k_megabyte << 20U, Unit::megabytes}, k_megabyte));
  keys.push_back(absolute_path(s, "hamal_lib_dir", HAMAL_FIELD(defaults.hamal_lib_dir)));
  keys.push_back(absolute_path(s, "hamal_info_path", HAMAL_FIELD(defaults.hamal_info_path)));
}

void add_period_and_mass(std::vector<KeySpec>& keys) {
  const string p = "period";
  keys.push_back(duration(p, "interval", HAMAL_FIELD(period.interval), {1s, 365 * 24h}));
  keys.push_back(
      duration(p, "task_update_wait_time", HAMAL_FIELD(period.task_update_wait_time), {100ms, 1h}));
  const DurationRange pause{0s, 1min, Unit::milliseconds};
  keys.push_back(duration(p, "openstack_release_cpu_time",
                          HAMAL_FIELD(period.openstack_release_cpu_time), pause));
  keys.push_back(
      duration(p, "vmware_release_cpu_time", HAMAL_FIELD(period.vmware_release_cpu_time), pause));
  const string m = "mass";
  keys.push_back(text(m, "mass_endpoint", HAMAL_FIELD(mass.mass_endpoint),
                      "the console's address, https://HOST[:PORT][/PATH]", anything));
  keys.push_back(secret(m, "auth_key", HAMAL_FIELD(mass.auth_key)));
  keys.push_back(text(m, "hyper_exporter_id", HAMAL_FIELD(mass.hyper_exporter_id),
                      "the id the console gave to this proxy", anything));
  keys.push_back(
      duration(m, "default_request_timeout", HAMAL_FIELD(mass.default_request_timeout), {1s, 24h}));
  keys.push_back(absolute_path(m, "public_key_path", HAMAL_FIELD(mass.public_key_path)));
  keys.push_back(flag(m, "enable_get_public_ips", HAMAL_FIELD(mass.enable_get_public_ips)));
  keys.push_back(
      duration(m, "get_public_ip_timeout", HAMAL_FIELD(mass.get_public_ip_timeout), {1s, 1h}));
  keys.push_back(flag(m, "enable_heartbeat_msg", HAMAL_FIELD(mass.enable_heartbeat_msg)));
}

void add_platform_types(std::vector<KeySpec>& keys) {
  for (const string& type : platform_type_words()) {
    keys.push_back(
        flag(type, "skip_disk_flag", type_field(type, &PlatformTypeSection::skip_disk_flag)));
    keys.push_back(megabytes<unsigned>(
        type, "disk_flag_size", type_field(type, &PlatformTypeSection::disk_flag_size_mb),
        {k_megabyte, k_megabyte << 20U, Unit::megabytes}, k_megabyte));
    if (type == "vmware") {
      keys.push_back(count(type, "max_read_blocks",
                           type_field(type, &PlatformTypeSection::max_read_blocks), {1, 65'536}));
    }
  }
}

void add_sync(std::vector<KeySpec>& keys) {
  const string s = "sync";
  keys.push_back(
      flag(s, "save_local_snapshot_metadata", HAMAL_FIELD(sync.save_local_snapshot_metadata)));
  keys.push_back(flag(s, "upload_metadata_to_oss", HAMAL_FIELD(sync.upload_metadata_to_oss)));
  keys.push_back(text(s, "metadata_store", HAMAL_FIELD(sync.metadata_store),
                      "where snapshot documents go, dir:PATH or s3://NAME/PREFIX",
                      [](const string& value) {
                        return value.starts_with("dir:/") || value.starts_with("s3://");
                      }));
  keys.push_back(
      duration(s, "snapshot_max_hold", HAMAL_FIELD(sync.snapshot_max_hold), {1min, 365 * 24h}));
  keys.push_back(duration(s, "outage_max", HAMAL_FIELD(sync.outage_max), {0s, 30 * 24h}));
  keys.push_back(megabytes<std::uint64_t>(s, "memory_limit", HAMAL_FIELD(sync.memory_limit),
                                          {64 * k_megabyte, k_megabyte << 20U, Unit::megabytes},
                                          1));
  keys.push_back(absolute_path(s, "scratch_dir", HAMAL_FIELD(sync.scratch_dir)));
  keys.push_back(duration(s, "lease_ttl", HAMAL_FIELD(sync.lease_ttl), {5s, 1h}));
  const string d = "data_sync_v2";
  keys.push_back(duration(d, "fsync_period_frequency",
                          HAMAL_FIELD(data_sync.fsync_period_frequency), {100ms, 1h}));
  keys.push_back(duration(d, "fsync_timeout", HAMAL_FIELD(data_sync.fsync_timeout), {0s, 24h}));
  keys.push_back(count(d, "parallel_sync_disks_count",
                       HAMAL_FIELD(data_sync.parallel_sync_disks_count), k_small_count));
  keys.push_back(count(d, "pre_disk_readers_count", HAMAL_FIELD(data_sync.pre_disk_readers_count),
                       k_small_count));
  keys.push_back(count(d, "max_parallel_sync_disks_count",
                       HAMAL_FIELD(data_sync.max_parallel_sync_disks_count), k_small_count));
  keys.push_back(count(d, "max_pre_disk_readers_count",
                       HAMAL_FIELD(data_sync.max_pre_disk_readers_count), k_small_count));
}

void add_fusion_compute_and_stores(std::vector<KeySpec>& keys) {
  const string f = "fusion_compute";
  keys.push_back(
      duration(f, "task_timeout", HAMAL_FIELD(fusion_compute.task_timeout), k_task_timeout));
  keys.push_back(duration(f, "create_snap_task_timeout",
                          HAMAL_FIELD(fusion_compute.create_snap_task_timeout), k_task_timeout));
  keys.push_back(duration(f, "delete_snap_task_timeout",
                          HAMAL_FIELD(fusion_compute.delete_snap_task_timeout), k_task_timeout));
  keys.push_back(text(f, "local_host_ip", HAMAL_FIELD(fusion_compute.local_host_ip),
                      "an IPv4 or IPv6 address", [](const string& value) {
                        return value.find_first_not_of("0123456789abcdefABCDEF.:%") == string::npos;
                      }));
  keys.push_back(count(f, "max_socket_connections_per_host",
                       HAMAL_FIELD(fusion_compute.max_socket_connections_per_host), k_small_count));
  keys.push_back(
      count(f, "max_writer_num", HAMAL_FIELD(fusion_compute.max_writer_num), k_small_count));
  const string r = "repository";
  keys.push_back(secret(r, "index_key", HAMAL_FIELD(repository.index_key)));
  keys.push_back(secret(r, "private_key", HAMAL_FIELD(repository.private_key)));
  keys.push_back(count(r, "compression", HAMAL_FIELD(repository.compression), {0, 19}));
  KeySpec connection =
      text("database", "connection", HAMAL_FIELD(database_connection),
           "sqlite:///PATH or postgresql://…", [](const string& value) {
             return value.starts_with("sqlite:///") || value.starts_with("postgresql://");
           });
  connection.fallback = Config{}.state_connection();
  connection.hides = [](const string& value) {
    return carries_password(value) || value.find("password") != string::npos;
  };
  connection.show = [](const Config& config) {
    const string url = config.state_connection();
    return carries_password(url) ? string("(a connection with a password)") : url;
  };
  keys.push_back(std::move(connection));
  keys.push_back(secret("database", "password", HAMAL_FIELD(database_password)));
}

}  // namespace

const std::vector<KeySpec>& config_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> all;
    add_general(all);
    add_period_and_mass(all);
    add_platform_types(all);
    add_sync(all);
    add_fusion_compute_and_stores(all);
    return all;
  }();
  return keys;
}

}  // namespace hamal
