// The keys of [platform NAME], [s3 NAME], [ceph NAME] and [job NAME].
#include <algorithm>
#include <array>
#include <chrono>

#include "hamal/config/keys.hpp"
#include "hamal/config/values.hpp"

namespace hamal {
namespace {

using std::string;
using Types = std::vector<string>;

const Types k_any{};

NamedKeySpec key(string kind, string name, Types types, string allowed,
                 std::function<bool(const string&)> check = {}) {
  return {std::move(kind),    std::move(name), std::move(types),
          std::move(allowed), Sensitive::no,   std::move(check)};
}

NamedKeySpec secret_key(string kind, string name, Types types) {
  NamedKeySpec spec = key(std::move(kind), std::move(name), std::move(types),
                          "file:PATH, env:NAME, credential:NAME or the secret");
  spec.sensitive = Sensitive::yes;
  return spec;
}

bool is_bool(const string& text) {
  return parse_bool(text).has_value();
}

bool is_absolute(const string& text) {
  return text.starts_with('/');
}

bool is_priority(const string& text) {
  return parse_count(text.starts_with('-') ? text.substr(1) : text, {0, 100}).has_value();
}

std::function<bool(const string&)> is_within(DurationRange range) {
  return [range](const string& text) { return parse_ranged_duration(text, range).has_value(); };
}

std::function<bool(const string&)> one_of(const std::vector<string>& words) {
  return [words](const string& text) {
    return std::find(words.begin(), words.end(), text) != words.end();
  };
}

void add_platform(std::vector<NamedKeySpec>& keys) {
  const string p = "platform";
  const Types addressed{"vmware", "openstack_ceph", "fusion_compute", "libvirt", "repository"};
  const Types managed{"vmware", "openstack_ceph", "fusion_compute", "libvirt"};
  const string path = "an absolute path";
  // Restores read it like any other; it has no section of its type's settings.
  Types types = platform_type_words();
  types.emplace_back("repository");
  keys.push_back(key(p, "type", k_any, allowed_words(types), one_of(types)));
  keys.push_back(key(p, "endpoint", addressed,
                     "the platform's address, and who logs in in user and secret",
                     [](const string& text) { return !carries_password(text); }));
  keys.push_back(key(p, "user", managed, "a user of the platform"));
  keys.push_back(secret_key(p, "secret", managed));
  keys.push_back(key(p, "ca_file", managed, path, is_absolute));
  keys.push_back(key(p, "qmp", {"qemu"}, path, is_absolute));
  keys.push_back(key(p, "vm", {"qemu", "nbd"}, "the machine's name"));
  keys.push_back(key(p, "vm_id", {"qemu", "nbd"}, "the machine's stable id"));
  keys.push_back(key(p, "nbd_socket", {"qemu"}, path, is_absolute));
  keys.push_back(key(p, "scratch_dir", {"qemu"}, path, is_absolute));
  const SizeRange scratch{0, 1ULL << 60U, Unit::bytes};
  keys.push_back(
      key(p, "scratch_min_free", {"qemu"}, allowed_size(scratch),
          [scratch](const string& text) { return parse_ranged_size(text, scratch).has_value(); }));
  const DurationRange patience{std::chrono::milliseconds(1), std::chrono::hours(1)};
  keys.push_back(key(p, "qmp_timeout", {"qemu"}, allowed_duration(patience), is_within(patience)));
  const auto is_nbd_uri = [](const string& text) {
    return text.starts_with("nbd://") || text.starts_with("nbds://") ||
           text.starts_with("nbd+unix://") || text.starts_with("nbds+unix://");
  };
  const string nbd_uri = "nbd://…, nbds://…, nbd+unix://… or nbds+unix://…";
  keys.push_back(key(p, "uri", {"nbd"}, nbd_uri, is_nbd_uri));
  keys.push_back(key(p, "disk.*", {"nbd"}, nbd_uri, is_nbd_uri));
  keys.push_back(key(p, "bitmap", {"nbd"}, "the name of a bitmap that the server exports"));
  keys.push_back(key(p, "path", {"file"}, path, is_absolute));
  keys.push_back(key(p, "offline", {"file"}, "True or False (yes/no, on/off, 1/0)", is_bool));
}

void add_vmware(std::vector<NamedKeySpec>& keys) {
  const string p = "platform";
  const Types vmware{"vmware"};
  const Types pinned{"vmware", "fusion_compute"};
  keys.push_back(
      key(p, "thumbprint", pinned, "the certificate's SHA-1 or SHA-256, in hexadecimal"));
  keys.push_back(
      key(p, "enable_change_tracking", vmware, "True or False (yes/no, on/off, 1/0)", is_bool));
  const DurationRange task{std::chrono::seconds(1), std::chrono::hours(24)};
  keys.push_back(key(p, "task_timeout", {"vmware", "openstack_ceph"}, allowed_duration(task),
                     is_within(task)));
  const CountRange levels{1, 31};
  keys.push_back(
      key(p, "max_snapshots", pinned, allowed_count(levels),
          [levels](const string& text) { return parse_count(text, levels).has_value(); }));
  const CountRange sessions{2, 1000};
  keys.push_back(
      key(p, "max_sessions", vmware, allowed_count(sessions),
          [sessions](const string& text) { return parse_count(text, sessions).has_value(); }));
  const SizeRange room{0, 1ULL << 60U, Unit::bytes};
  keys.push_back(
      key(p, "datastore_min_free", vmware, allowed_size(room),
          [room](const string& text) { return parse_ranged_size(text, room).has_value(); }));
  const std::vector<string> ways{"auto", "vddk", "https", "nbd"};
  keys.push_back(key(p, "read_by", vmware, allowed_words(ways), one_of(ways)));
  keys.push_back(key(p, "vddk_libdir", vmware, "an absolute path", is_absolute));
  keys.push_back(key(p, "vddk_plugin", vmware, "the name or path of nbdkit's plugin"));
  keys.push_back(key(p, "vddk_transports", vmware, "VDDK's words, with colons between them"));
  const CountRange connections{1, 52};
  keys.push_back(key(
      p, "vddk_connections_per_host", vmware, allowed_count(connections),
      [connections](const string& text) { return parse_count(text, connections).has_value(); }));
  keys.push_back(key(
      p, "vddk_connections", vmware, allowed_count(connections),
      [connections](const string& text) { return parse_count(text, connections).has_value(); }));
  keys.push_back(key(p, "vddk_wait", vmware, allowed_duration(task), is_within(task)));
  keys.push_back(key(p, "nbdkit", vmware, "the name or path of the program"));
  keys.push_back(key(p, "nbd_uri", pinned, "an NBD URI with the type's {words}"));
  keys.push_back(
      key(p, "nbd_uri_is_frozen", vmware, "True or False (yes/no, on/off, 1/0)", is_bool));
  const std::vector<string> encodings{"single", "double"};
  keys.push_back(key(p, "folder_encoding", vmware, allowed_words(encodings), one_of(encodings)));
}

void add_openstack(std::vector<NamedKeySpec>& keys) {
  const string p = "platform";
  const Types openstack{"openstack_ceph"};
  keys.push_back(key(p, "user_domain", openstack, "the user's domain"));
  keys.push_back(key(p, "project", openstack, "the project's name or id"));
  keys.push_back(key(p, "project_domain", openstack, "the project's domain"));
  keys.push_back(
      key(p, "application_credential", openstack, "its id, or its name where there is a user"));
  keys.push_back(key(p, "region", openstack, "a region of the catalog"));
  const std::vector<string> interfaces{"public", "internal", "admin"};
  keys.push_back(key(p, "interface", openstack, allowed_words(interfaces), one_of(interfaces)));
  keys.push_back(key(p, "ceph", openstack, "the NAME of a [ceph NAME] section"));
  keys.push_back(key(p, "pool.*", openstack, "POOL or CLUSTER/POOL"));
}

void add_fusion_compute(std::vector<NamedKeySpec>& keys) {
  const string p = "platform";
  const Types types{"fusion_compute"};
  keys.push_back(key(p, "api_version", types, "a version of GET /service/versions"));
  keys.push_back(key(p, "auth_user_type", types, "the value of X-Auth-UserType"));
  keys.push_back(key(p, "auth_type", types, "the value of X-Auth-AuthType"));
  const std::vector<string> ways{"auto", "rbd", "nbd", "file", "vna_socket"};
  keys.push_back(key(p, "reader", types, allowed_words(ways), one_of(ways)));
  for (const char* suffix : {"", ".*"}) {
    keys.push_back(
        key(p, string("rbd_uri") + suffix, types, "rbd://NAME/POOL/{volume}@{snapshot}"));
    keys.push_back(
        key(p, string("file_path") + suffix, types, "an absolute path with {words}", is_absolute));
  }
  keys.push_back(key(p, "nbd_uri.*", types, "an NBD URI with {words}"));
  const string boolean = "True or False (yes/no, on/off, 1/0)";
  keys.push_back(key(p, "full_by_bitmap", types, boolean, is_bool));
  const std::vector<string> transports{"lan", "lanssl"};
  keys.push_back(key(p, "vna_transport", types, allowed_words(transports), one_of(transports)));
  const DurationRange lease{std::chrono::minutes(1), std::chrono::hours(2)};
  keys.push_back(key(p, "vna_lease", types, allowed_duration(lease), is_within(lease)));
  const DurationRange wait{std::chrono::seconds(1), std::chrono::hours(24)};
  keys.push_back(key(p, "vna_wait", types, allowed_duration(wait), is_within(wait)));
  const CountRange disks{1, 1024};
  keys.push_back(key(p, "vna_disks_per_host", types, allowed_count(disks),
                     [disks](const string& text) { return parse_count(text, disks).has_value(); }));
}

void add_s3(std::vector<NamedKeySpec>& keys) {
  const string s = "s3";
  keys.push_back(key(s, "endpoint", k_any, "https://HOST[:PORT] or http://HOST[:PORT]",
                     [](const string& text) {
                       return (text.starts_with("https://") || text.starts_with("http://")) &&
                              !carries_password(text);
                     }));
  keys.push_back(key(s, "region", k_any, "the region's name"));
  keys.push_back(key(s, "bucket", k_any, "the bucket's name"));
  keys.push_back(key(s, "access_key", k_any, "the access key's id"));
  keys.push_back(secret_key(s, "secret_key", k_any));
  keys.push_back(secret_key(s, "session_token", k_any));
  keys.push_back(key(s, "ca_file", k_any, "an absolute path", is_absolute));
  const std::vector<string> styles{"path", "virtual"};
  keys.push_back(key(s, "addressing_style", k_any, allowed_words(styles), one_of(styles)));
  const CountRange requests{1, 1024};
  keys.push_back(
      key(s, "parallel_requests", k_any, allowed_count(requests),
          [requests](const string& text) { return parse_count(text, requests).has_value(); }));
  const auto add_duration = [&](const char* name, const DurationRange& range) {
    keys.push_back(key(s, name, k_any, allowed_duration(range), is_within(range)));
  };
  add_duration("retry_max", {std::chrono::milliseconds(0), std::chrono::hours(1)});
  add_duration("request_timeout", {std::chrono::seconds(1), std::chrono::hours(1)});
  add_duration("list_lag", {std::chrono::milliseconds(0), std::chrono::hours(1)});
  const SizeRange part{5ULL << 20U, 1ULL << 30U, Unit::bytes};
  keys.push_back(key(s, "part_size", k_any, allowed_size(part), [part](const string& text) {
    return parse_ranged_size(text, part).has_value();
  }));
  const string boolean = "True or False (yes/no, on/off, 1/0)";
  keys.push_back(key(s, "verify_etag", k_any, boolean, is_bool));
  keys.push_back(key(s, "remove_versions", k_any, boolean, is_bool));
  const std::vector<string> modes{"governance", "compliance"};
  keys.push_back(key(s, "object_lock_mode", k_any, allowed_words(modes), one_of(modes)));
}

void add_ceph(std::vector<NamedKeySpec>& keys) {
  const string c = "ceph";
  keys.push_back(key(c, "mon_host", k_any, "addresses of monitors, as in ceph.conf"));
  keys.push_back(key(c, "conf_file", k_any, "an absolute path", is_absolute));
  keys.push_back(key(c, "user", k_any, "a CephX user without client."));
  keys.push_back(secret_key(c, "keyring", k_any));
  const std::vector<string> auths{"cephx", "none"};
  keys.push_back(key(c, "auth", k_any, allowed_words(auths), one_of(auths)));
  const std::vector<string> diffs{"exact", "fast"};
  keys.push_back(key(c, "diff", k_any, allowed_words(diffs), one_of(diffs)));
  const DurationRange patience{std::chrono::seconds(1), std::chrono::hours(1)};
  for (const char* name : {"osd_timeout", "mon_timeout"}) {
    keys.push_back(key(c, name, k_any, allowed_duration(patience), is_within(patience)));
  }
}

void add_job(std::vector<NamedKeySpec>& keys) {
  const string j = "job";
  keys.push_back(key(j, "platform", k_any, "the NAME of a [platform NAME] section"));
  keys.push_back(key(j, "vm", k_any, "a machine's id or name, or a pattern with * and ?"));
  keys.push_back(key(j, "target", k_any, "where to, with {vm} {vm_id} {disk} {index}"));
  const DurationRange interval{std::chrono::seconds(1), std::chrono::hours(365 * 24)};
  keys.push_back(key(j, "interval", k_any, allowed_duration(interval), is_within(interval)));
  keys.push_back(key(j, "schedule", k_any, "five fields as in crontab(5), or hourly, daily …"));
  keys.push_back(key(j, "window", k_any, "HH:MM-HH:MM, several with commas"));
  keys.push_back(key(j, "priority", k_any, "a whole number from -100 to 100", is_priority));
  keys.push_back(key(j, "bwlimit", k_any, "SIZE, or HH:MM-HH:MM SIZE, several with commas"));
  keys.push_back(key(j, "retention", k_any, "what to keep, for repositories: last=N daily=N …"));
  const std::vector<string> quiesce{"no", "try", "require"};
  keys.push_back(key(j, "quiesce", k_any, allowed_words(quiesce), one_of(quiesce)));
  keys.push_back(key(j, "pre_hook", k_any, "an absolute path", is_absolute));
  keys.push_back(key(j, "post_hook", k_any, "an absolute path", is_absolute));
  const DurationRange timeout{std::chrono::seconds(1), std::chrono::hours(24)};
  keys.push_back(key(j, "hook_timeout", k_any, allowed_duration(timeout), is_within(timeout)));
  const std::vector<string> failures{"fail", "warn"};
  keys.push_back(key(j, "hook_failure", k_any, allowed_words(failures), one_of(failures)));
}

}  // namespace

const std::vector<NamedKeySpec>& named_keys() {
  static const std::vector<NamedKeySpec> keys = [] {
    std::vector<NamedKeySpec> all;
    add_platform(all);
    add_vmware(all);
    add_openstack(all);
    add_fusion_compute(all);
    add_s3(all);
    add_ceph(all);
    add_job(all);
    return all;
  }();
  return keys;
}

const NamedKeySpec* find_named_key(const string& kind, const string& key) {
  for (const NamedKeySpec& spec : named_keys()) {
    const bool stem = spec.key.ends_with('*');
    const std::string_view name = std::string_view(spec.key).substr(0, spec.key.size() - stem);
    const bool matches = stem ? key.size() > name.size() && key.starts_with(name) : key == name;
    if (spec.kind == kind && matches) {
      return &spec;
    }
  }
  return nullptr;
}

const std::vector<string>& platform_type_words() {
  static const std::vector<string> words{
      "vmware", "openstack_ceph", "fusion_compute", "qemu", "libvirt", "nbd", "file"};
  return words;
}

bool is_reserved_platform_name(std::string_view name) {
  static constexpr std::array k_schemes{"nbds", "nbd+unix", "nbds+unix", "rbd",
                                        "s3",   "dir",      "repository"};
  const auto& types = platform_type_words();
  return std::find(types.begin(), types.end(), name) != types.end() ||
         std::find(k_schemes.begin(), k_schemes.end(), name) != k_schemes.end();
}

}  // namespace hamal
