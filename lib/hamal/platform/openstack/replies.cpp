#include "hamal/platform/openstack/replies.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "hamal/platform/openstack/json_fields.hpp"
#include "hamal/util/text.hpp"

namespace hamal::openstack {
namespace {

constexpr std::size_t k_longest_words = 500;
constexpr std::uint64_t k_gib = 1ULL << 30U;
/// 8 EiB less one: the size is kept in bytes.
constexpr std::int64_t k_most_gib = (1LL << 33) - 1;

std::string next_query(const Json& json, const char* links, const Place& place) {
  for (const Json& link : list_of(json, links, place)) {
    if (text_of(link, "rel", place) == "next") {
      const std::string href = require_text(link, "href", place);
      const std::size_t question = href.find('?');
      if (question == std::string::npos || question + 1 == href.size()) {
        place.refuse("the address of the next page names no page");
      }
      return href.substr(question + 1);
    }
  }
  return {};
}

template <typename T>
Page<T> page_of(std::string_view body, const std::string& object, const char* key,
                T (*item)(const Json&, const Place&)) {
  const Place place{object};
  const Json json = parse_strict(body, place);
  Page<T> page;
  for (const Json& one : require_list(json, key, place)) {
    page.items.push_back(item(one, place));
  }
  page.next = next_query(json, (std::string(key) + "_links").c_str(), place);
  return page;
}

template <typename T>
T one_of(std::string_view body, const std::string& object, const char* key,
         T (*item)(const Json&, const Place&)) {
  const Place place{object};
  const Json json = parse_strict(body, place);
  return item(require_object(json, key, place), place);
}

/// Swap is a text, empty for none, in old replies.
std::int64_t loose_number(const Json& object, const char* key, const Place& place) {
  const Json* const value = member(object, key, place);
  return value != nullptr && value->is_string() ? 0 : number_of(object, key, 0, place);
}

Server server_of(const Json& json, const Place& place) {
  Server server;
  server.id = require_text(json, "id", place);
  server.name = text_of(json, "name", place);
  server.status = text_of(json, "status", place);
  server.task = text_of(json, "OS-EXT-STS:task_state", place);
  server.power = number_of(json, "OS-EXT-STS:power_state", 0, place);
  // An empty text for servers that boot from a volume.
  const Json* const image = member(json, "image", place);
  server.boots = image != nullptr && image->is_object() && !image->empty() ? Boots::from_image
                                                                           : Boots::from_volume;
  if (const Json* const flavor = member(json, "flavor", place)) {
    server.disk_gib = number_of(*flavor, "disk", 0, place);
    server.ephemeral_gib = number_of(*flavor, "ephemeral", 0, place);
    server.swap_mib = loose_number(*flavor, "swap", place);
    server.vcpus = number_of(*flavor, "vcpus", 0, place);
    server.ram_mib = number_of(*flavor, "ram", 0, place);
    server.flavor = text_of(*flavor, "original_name", place);
  }
  for (const Json& volume : list_of(json, "os-extended-volumes:volumes_attached", place)) {
    server.volumes.push_back(require_text(volume, "id", place));
  }
  return server;
}

Volume volume_of(const Json& json, const Place& place) {
  Volume volume;
  volume.id = require_text(json, "id", place);
  volume.name = text_of(json, "name", place);
  volume.status = text_of(json, "status", place);
  volume.type = text_of(json, "volume_type", place);
  const std::int64_t size = number_of(json, "size", -1, place);
  if (size < 0 || size > k_most_gib) {
    place.refuse(fmt::format("the size of the volume {} is none: {}", in_quotes(volume.id), size));
  }
  volume.size = static_cast<std::uint64_t>(size) * k_gib;
  volume.bootable = flag_of(json, "bootable", place);
  volume.encrypted = flag_of(json, "encrypted", place);
  volume.multiattach = flag_of(json, "multiattach", place);
  volume.name_id = text_of(json, "os-vol-mig-status-attr:name_id", place);
  volume.migration = text_of(json, "migration_status", place);
  if (const Json* const image = member(json, "volume_image_metadata", place)) {
    volume.image = text_of(*image, "image_name", place);
  }
  for (const Json& use : list_of(json, "attachments", place)) {
    volume.uses.push_back({text_of(use, "server_id", place), text_of(use, "device", place)});
  }
  return volume;
}

/// "POOL/IMAGE" or "POOL/NAMESPACE/IMAGE".
void read_image_name(VolumeConnection& connection, const std::string& name, const Place& place) {
  const std::size_t first = name.find('/');
  const std::size_t last = name.rfind('/');
  if (first == std::string::npos || first == 0 || last + 1 == name.size()) {
    place.refuse("the connection names no image of a pool: " + in_quotes(name));
  }
  connection.pool = name.substr(0, first);
  connection.space = first == last ? "" : name.substr(first + 1, last - first - 1);
  connection.image = name.substr(last + 1);
}

Attachment attachment_of(const Json& json, const Place& place) {
  Attachment attachment;
  attachment.id = require_text(json, "id", place);
  attachment.volume = require_text(json, "volume_id", place);
  attachment.server = text_of(json, "instance", place);
  const Json* const info = member(json, "connection_info", place);
  if (info != nullptr && info->is_object() && !info->empty()) {
    VolumeConnection connection;
    connection.driver = text_of(*info, "driver_volume_type", place);
    if (connection.driver == "rbd") {
      read_image_name(connection, text_of(*info, "name", place), place);
      connection.secret = text_of(*info, "secret_uuid", place);
    }
    attachment.connection = std::move(connection);
  }
  return attachment;
}

VolumeSnapshot snapshot_of(const Json& json, const Place& place) {
  VolumeSnapshot snapshot;
  snapshot.id = require_text(json, "id", place);
  snapshot.volume = text_of(json, "volume_id", place);
  snapshot.name = text_of(json, "name", place);
  snapshot.status = require_text(json, "status", place);
  snapshot.created = text_of(json, "created_at", place);
  if (const Json* const metadata = member(json, "metadata", place)) {
    if (!metadata->is_object()) {
      place.refuse("\"metadata\" is no JSON object");
    }
    for (const auto& [key, value] : metadata->items()) {
      if (value.is_string()) {
        snapshot.metadata[key] = value.get<std::string>();
      }
    }
  }
  return snapshot;
}

std::string one_line(std::string text) {
  text = escape_control(text);
  if (text.size() > k_longest_words) {
    text.resize(k_longest_words);
    // Not in the middle of a character.
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0U) == 0x80U) {
      text.pop_back();
    }
    if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0U) {
      text.pop_back();
    }
    text += "…";
  }
  return text;
}

/// {"itemNotFound": {"code": 404, "message": "…"}}, {"error": {"message": "…"}}
std::string message_in(const Json& json) {
  if (!json.is_object()) {
    return {};
  }
  for (const auto& [key, value] : json.items()) {
    if (value.is_object() && value.contains("message") && value["message"].is_string()) {
      return value["message"].get<std::string>();
    }
    if (key == "message" && value.is_string()) {
      return value.get<std::string>();
    }
  }
  // {"errors": [{"detail": "…"}]}, of Placement and newer services
  if (json.contains("errors") && json["errors"].is_array() && !json["errors"].empty()) {
    const Json& first = json["errors"][0];
    if (first.is_object() && first.contains("detail") && first["detail"].is_string()) {
      return first["detail"].get<std::string>();
    }
  }
  return {};
}

std::pair<unsigned, unsigned> parts_of(std::string_view version) {
  unsigned major = 0;
  unsigned minor = 0;
  const char* const end = version.data() + version.size();
  const char* at = std::from_chars(version.data(), end, major).ptr;
  if (at != end && *at == '.') {
    std::from_chars(at + 1, end, minor);
  }
  return {major, minor};
}

}  // namespace

Page<Server> parse_servers(std::string_view body, const std::string& object) {
  return page_of(body, object, "servers", server_of);
}

Page<Volume> parse_volumes(std::string_view body, const std::string& object) {
  return page_of(body, object, "volumes", volume_of);
}

Page<Attachment> parse_attachments(std::string_view body, const std::string& object) {
  return page_of(body, object, "attachments", attachment_of);
}

Page<VolumeSnapshot> parse_snapshots(std::string_view body, const std::string& object) {
  return page_of(body, object, "snapshots", snapshot_of);
}

Server parse_server(std::string_view body, const std::string& object) {
  return one_of(body, object, "server", server_of);
}

Volume parse_volume(std::string_view body, const std::string& object) {
  return one_of(body, object, "volume", volume_of);
}

VolumeSnapshot parse_snapshot(std::string_view body, const std::string& object) {
  return one_of(body, object, "snapshot", snapshot_of);
}

Quotas parse_quotas(std::string_view body, const std::string& object) {
  const Place place{object};
  const Json json = parse_strict(body, place);
  const Json& limits = require_object(require_object(json, "limits", place), "absolute", place);
  const auto quota = [&](const char* limit, const char* used) {
    return Quota{number_of(limits, limit, -1, place), number_of(limits, used, 0, place)};
  };
  return {quota("maxTotalSnapshots", "totalSnapshotsUsed"),
          quota("maxTotalVolumeGigabytes", "totalGigabytesUsed")};
}

std::string parse_message(std::string_view body, const std::string& object) {
  const Place place{object};
  const Json json = parse_strict(body, place);
  std::string words;
  std::string newest;
  for (const Json& message : require_list(json, "messages", place)) {
    const std::string created = text_of(message, "created_at", place);
    if (words.empty() || created > newest) {
      newest = created;
      words = text_of(message, "user_message", place);
    }
  }
  return one_line(std::move(words));
}

std::string refusal_words(std::string_view body) noexcept {
  try {
    return one_line(message_in(parse_strict(body, Place{})));
  } catch (const std::exception&) {
    return {};
  }
}

std::optional<std::string> newest_microversion(std::string_view body) noexcept {
  constexpr std::string_view k_before = "maximum is ";
  const std::size_t at = body.find(k_before);
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  body.remove_prefix(at + k_before.size());
  std::size_t length = body.find_first_not_of("0123456789.");
  std::string_view version = body.substr(0, length);
  while (version.ends_with('.')) {
    version.remove_suffix(1);
  }
  const auto points = std::count(version.begin(), version.end(), '.');
  if (version.empty() || version.size() > 9 || points != 1 || version.front() == '.') {
    return std::nullopt;
  }
  return std::string(version);
}

bool is_older_microversion(std::string_view a, std::string_view b) {
  return parts_of(a) < parts_of(b);
}

}  // namespace hamal::openstack
