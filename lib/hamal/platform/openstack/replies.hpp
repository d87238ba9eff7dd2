// What Nova and Cinder answer, as far as it matters here: foreign bytes, checked as they come in.
// All functions throw Error naming `object` for what is no such reply.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hamal::openstack {

/// One page of a list.
template <typename T>
struct Page {
  std::vector<T> items;
  /// What follows "?" in the address of the next page; empty: this is the last one. The rest of
  /// that address is the service's idea of its own name, which proxies in between change.
  std::string next;
};

enum class Boots { from_volume, from_image };

struct Server {
  std::string id;
  std::string name;
  std::string status;      ///< ACTIVE, SHUTOFF …
  std::string task;        ///< what Nova is doing to it; empty: nothing
  std::int64_t power = 0;  ///< 1 running, 4 shut down …
  Boots boots = Boots::from_volume;
  std::int64_t disk_gib = 0;  ///< of the flavor: its root disk, its ephemeral ones and its swap
  std::int64_t ephemeral_gib = 0;
  std::int64_t swap_mib = 0;
  std::int64_t vcpus = 0;
  std::int64_t ram_mib = 0;
  std::string flavor;
  std::vector<std::string> volumes;  ///< their ids, in no order
};

struct VolumeUse {
  std::string server;
  std::string device;  ///< "/dev/vdb"
};

struct Volume {
  std::string id;
  std::string name;
  std::string status;  ///< in-use, available …
  std::string type;
  std::uint64_t size = 0;  ///< bytes; whole GiB
  bool bootable = false;
  bool encrypted = false;
  bool multiattach = false;
  std::string image;    ///< the name of the image it was made from; empty: none
  std::string name_id;  ///< of administrators: another id that its image is called by
  std::string migration;
  std::vector<VolumeUse> uses;
};

/// How a hypervisor was told to reach a volume.
struct VolumeConnection {
  std::string driver;  ///< rbd, iscsi …
  std::string pool;    ///< of rbd, as the next two
  std::string space;   ///< a namespace of the pool; empty: none
  std::string image;
  std::string secret;  ///< libvirt's secret: by default the cluster's own id
};

struct Attachment {
  std::string id;
  std::string volume;
  std::string server;
  std::optional<VolumeConnection> connection;
};

struct VolumeSnapshot {
  std::string id;
  std::string volume;
  std::string name;
  std::string status;   ///< creating, available, deleting, error, error_deleting …
  std::string created;  ///< as Cinder writes it
  std::map<std::string, std::string> metadata;
};

struct Quota {
  std::int64_t limit = -1;  ///< -1: none
  std::int64_t used = 0;    ///< reserved ones too
};

Page<Server> parse_servers(std::string_view body, const std::string& object);
Page<Volume> parse_volumes(std::string_view body, const std::string& object);
Page<Attachment> parse_attachments(std::string_view body, const std::string& object);
Page<VolumeSnapshot> parse_snapshots(std::string_view body, const std::string& object);
Server parse_server(std::string_view body, const std::string& object);
Volume parse_volume(std::string_view body, const std::string& object);
VolumeSnapshot parse_snapshot(std::string_view body, const std::string& object);
/// Of the limits of the project: snapshots, and gibibytes of volumes and snapshots.
struct Quotas {
  Quota snapshots;
  Quota gigabytes;
};
Quotas parse_quotas(std::string_view body, const std::string& object);
/// What Cinder has to say to users of something that failed; the newest one, empty: nothing.
std::string parse_message(std::string_view body, const std::string& object);

/// In a refusal's own words, on one line; empty: it has none. Never throws.
std::string refusal_words(std::string_view body) noexcept;
/// The newest microversion that a refusal (406) says the service knows. Never throws.
std::optional<std::string> newest_microversion(std::string_view body) noexcept;
/// Whether "3.27" is older than "3.59". Both are digits, a point and digits.
bool is_older_microversion(std::string_view a, std::string_view b);

}  // namespace hamal::openstack
