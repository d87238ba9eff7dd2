#include "hamal/platform/fusioncompute/vrm_reply.hpp"

#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <optional>

#include "hamal/extent/validate.hpp"
#include "hamal/json/strict_json.hpp"
#include "hamal/platform/fusioncompute/vrm_error.hpp"
#include "hamal/util/text.hpp"

namespace hamal::fusioncompute {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t k_gib = 1ULL << 30U;
constexpr std::uint64_t k_sector = 512;
/// More than any vm can have, and less than a stack.
constexpr unsigned k_deepest = 64;
constexpr std::uint64_t k_largest_block = 1ULL << 30U;

/// The fields of one object, as servers write them.
class Loose {
 public:
  Loose(const Json& object, const hamal::Place& place, std::string prefix = {})
      : m_object(object), m_place(place), m_fields(object, place, std::move(prefix)) {}

  const Json* find(const char* field) const {
    const auto found = m_object.find(field);
    return found == m_object.end() || found->is_null() ? nullptr : &*found;
  }
  bool has(const char* field) const { return find(field) != nullptr; }

  std::string text(const char* field) const {
    const Json* const value = find(field);
    if (value == nullptr) {
      return {};
    }
    if (value->is_number_integer()) {
      return value->dump();
    }
    return m_fields.text(field);
  }
  std::string need_text(const char* field) const {
    std::string value = text(field);
    if (value.empty()) {
      m_fields.refuse(field, "is missing or empty");
    }
    return value;
  }
  bool flag(const char* field) const {
    const Json* const value = find(field);
    if (value == nullptr) {
      return false;
    }
    if (value->is_boolean()) {
      return value->get<bool>();
    }
    const std::string word = to_lower(text(field));
    if (word != "true" && word != "false" && word != "1" && word != "0" && !word.empty()) {
      m_fields.refuse(field, "must be true or false, not " + in_quotes(word));
    }
    return word == "true" || word == "1";
  }
  std::uint64_t number(const char* field) const {
    const Json* const value = find(field);
    if (value == nullptr || !value->is_string()) {
      return m_fields.number(field);
    }
    const auto& digits = value->get_ref<const std::string&>();
    std::uint64_t result = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), result);
    if (error != std::errc() || end != digits.data() + digits.size() || result > k_max_disk_size) {
      m_fields.refuse(field, "must be a whole number, not " + in_quotes(digits));
    }
    return result;
  }
  std::uint64_t optional_number(const char* field) const { return has(field) ? number(field) : 0; }
  /// In GiB, which a simulator may say in fractions: whole sectors all the same.
  std::uint64_t size(const char* field) const {
    const Json& value = m_fields.require(field);
    double gib = -1;
    if (value.is_number()) {
      gib = value.get<double>();
    } else if (value.is_string()) {
      const auto& digits = value.get_ref<const std::string&>();
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), gib);
      gib = error != std::errc() || end != digits.data() + digits.size() ? -1 : gib;
    }
    const double bytes = gib * static_cast<double>(k_gib);
    const bool sane = bytes >= 0 && bytes < 9e18;  // and no NaN
    if (!sane || std::floor(bytes / k_sector) * k_sector != bytes) {
      m_fields.refuse(field, "must be a size in GiB, not " + in_quotes(value.dump()));
    }
    return static_cast<std::uint64_t>(bytes);
  }
  /// The elements of an array; none when it is missing.
  const Json& array(const char* field) const {
    static const Json none = Json::array();
    const Json* const value = find(field);
    if (value == nullptr) {
      return none;
    }
    if (!value->is_array()) {
      m_fields.refuse(field, "must be an array");
    }
    return *value;
  }
  /// A path of this server, and nothing that leads elsewhere.
  std::string uri(const char* field) const {
    std::string value = need_text(field);
    check_path(field, value);
    return value;
  }
  std::string optional_uri(const char* field) const {
    std::string value = text(field);
    if (!value.empty()) {
      check_path(field, value);
    }
    return value;
  }
  [[noreturn]] void refuse(const char* field, const std::string& what) const {
    m_fields.refuse(field, what);
  }

 private:
  void check_path(const char* field, const std::string& value) const {
    constexpr std::string_view k_more = "/-_.:~";
    for (const char c : value) {
      const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      if (!plain && k_more.find(c) == std::string_view::npos) {
        m_fields.refuse(field, "is no path: " + in_quotes(value));
      }
    }
    if (!value.starts_with("/service/") || value.find("..") != std::string::npos) {
      m_fields.refuse(field, "does not begin with /service/: " + in_quotes(value));
    }
  }

  const Json& m_object;
  const hamal::Place& m_place;
  Fields m_fields;
};

/// A parsed body, and the place that its violations name.
struct Reply {
  hamal::Place place;
  Json json;
  Reply(std::string_view body, const std::string& call)
      : place{.object = "the reply to " + call, .kind = ErrorKind::failed},
        json(parse_strict(body, place)) {}
  Loose fields() const { return {json, place}; }
};

std::string prefix_of(const char* field, std::size_t number) {
  return fmt::format("{}[{}].", field, number);
}

Machine machine_of(const Loose& fields) {
  Machine machine;
  machine.uri = fields.uri("uri");
  machine.urn = fields.need_text("urn");
  machine.uuid = fields.text("uuid");
  machine.name = fields.need_text("name");
  machine.host_urn = fields.text("hostUrn");
  machine.status = fields.text("status");
  machine.tools = fields.text("pvDriverStatus");
  machine.is_template = fields.flag("isTemplate");
  machine.is_linked_clone = fields.flag("isLinkClone");
  return machine;
}

Disk disk_of(const Loose& fields, const std::string& call) {
  Disk disk;
  disk.sequence = fields.number("sequenceNum");
  disk.name = fields.text("diskName");
  disk.bus = fields.text("pciType");
  disk.volume_urn = fields.need_text("volumeUrn");
  disk.volume_uri = uri_of_urn(disk.volume_urn, call);
  disk.volume_uuid = fields.text("volumeUuid");
  disk.datastore_urn = fields.text("datastoreUrn");
  disk.storage_type = fields.text("storageType");
  disk.size = fields.size("quantityGB");
  disk.independent = fields.flag("indepDisk");
  disk.shared = fields.text("type") == "share";
  return disk;
}

Snapshot snapshot_of(const Loose& fields, const std::string& parent) {
  Snapshot snapshot;
  snapshot.uri = fields.uri("uri");
  snapshot.urn = fields.need_text("urn");
  snapshot.name = fields.text("name");
  snapshot.description = fields.text("description");
  snapshot.created = fields.text("createTime");
  snapshot.status = fields.text("status");
  snapshot.parent = parent;
  return snapshot;
}

void add_snapshots(const Json& list, const hamal::Place& place, const std::string& parent,
                   unsigned depth, std::vector<Snapshot>& into) {
  if (depth > k_deepest) {
    place.refuse("has snapshots deeper than any vm");
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Loose fields(list[i], place, prefix_of("rootSnapshots", i));
    const Snapshot snapshot = snapshot_of(fields, parent);
    into.push_back(snapshot);
    add_snapshots(fields.array("childSnapshots"), place, snapshot.urn, depth + 1, into);
  }
}

std::optional<unsigned> digit_of(char c) {
  if (c >= '0' && c <= '9') {
    return static_cast<unsigned>(c - '0');
  }
  if (c >= 'a' && c <= 'f') {
    return static_cast<unsigned>(c - 'a') + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return static_cast<unsigned>(c - 'A') + 10;
  }
  return std::nullopt;
}

/// Two hexadecimal characters are a byte; a last one alone is the low half of one.
std::vector<std::uint8_t> bytes_of(const std::string& text, const Loose& fields) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(text.size() / 2 + 1);
  for (std::size_t at = 0; at < text.size(); at += 2) {
    const auto first = digit_of(text[at]);
    const bool pair = at + 1 < text.size();
    const auto second = pair ? digit_of(text[at + 1]) : first;
    if (!first || !second) {
      fields.refuse("bitMap", "is not hexadecimal");
    }
    bytes.push_back(static_cast<std::uint8_t>(pair ? *first * 16 + *second : *first));
  }
  return bytes;
}

}  // namespace

std::string uri_of_urn(const std::string& urn, const std::string& call) {
  constexpr std::string_view k_begin = "urn:sites:";
  constexpr std::string_view k_allowed = ":-_.";
  bool sane = urn.starts_with(k_begin) && urn.find("..") == std::string::npos;
  std::string uri = "/service";
  for (const char c : urn.substr(std::min<std::size_t>(urn.size(), 3))) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    sane = sane && (plain || k_allowed.find(c) != std::string_view::npos);
    uri += c == ':' ? '/' : c;
  }
  if (!sane) {
    throw Error(ErrorKind::failed, "names something that is no URN: " + in_quotes(urn),
                "the reply to " + call);
  }
  return uri;
}

std::vector<VersionOffer> parse_versions(std::string_view body, const std::string& call) {
  const Reply reply(body, call);
  const Json& list = reply.fields().array("versions");
  std::vector<VersionOffer> result;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Loose fields(list[i], reply.place, prefix_of("versions", i));
    const std::string version = fields.need_text("version");
    if (version.find_first_of(" ;,\r\n") != std::string::npos) {
      fields.refuse("version", "is no version: " + in_quotes(version));
    }
    result.push_back({version, fields.optional_uri("loginUri")});
  }
  return result;
}

std::uint64_t parse_validity(std::string_view body, const std::string& call) {
  if (trim(body).empty()) {
    return 0;
  }
  const Reply reply(body, call);
  return reply.fields().optional_number("validity");
}

std::vector<Place> parse_places(std::string_view body, const char* field, const std::string& call) {
  const Reply reply(body, call);
  const Json& list = reply.fields().array(field);
  std::vector<Place> result;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Loose fields(list[i], reply.place, prefix_of(field, i));
    result.push_back({fields.uri("uri"), fields.need_text("urn"), fields.text("name")});
  }
  return result;
}

VmPage parse_vm_page(std::string_view body, const std::string& call) {
  const Reply reply(body, call);
  const Json& list = reply.fields().array("vms");
  VmPage page;
  page.total = reply.fields().number("total");
  for (std::size_t i = 0; i < list.size(); ++i) {
    page.vms.push_back(machine_of(Loose(list[i], reply.place, prefix_of("vms", i))));
  }
  return page;
}

Machine parse_machine(std::string_view body, const std::string& call) {
  const Reply reply(body, call);
  const Loose fields = reply.fields();
  Machine machine = machine_of(fields);
  const Json* const config = fields.find("vmConfig");
  if (config == nullptr) {
    fields.refuse("vmConfig", "is missing");
  }
  const Json& list = Loose(*config, reply.place, "vmConfig.").array("disks");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Loose one(list[i], reply.place, prefix_of("vmConfig.disks", i));
    machine.disks.push_back(disk_of(one, call));
    for (std::size_t before = 0; before < i; ++before) {
      if (machine.disks[before].sequence == machine.disks[i].sequence) {
        one.refuse("sequenceNum", "is that of another disk, too");
      }
    }
  }
  return machine;
}

Volume parse_volume(std::string_view body, const std::string& call) {
  const Reply reply(body, call);
  const Loose fields = reply.fields();
  return {fields.text("uuid"), fields.text("volNameOnDev"), fields.text("datastoreUrn")};
}

std::vector<Snapshot> parse_snapshots(std::string_view body, const std::string& call) {
  const Reply reply(body, call);
  std::vector<Snapshot> result;
  add_snapshots(reply.fields().array("rootSnapshots"), reply.place, {}, 0, result);
  return result;
}

SnapshotDetail parse_snapshot(std::string_view body, const std::string& call) {
  const Reply reply(body, call);
  const Loose fields = reply.fields();
  SnapshotDetail detail;
  detail.snapshot = snapshot_of(fields, {});
  const Json& list = fields.array("volsnapshots");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Loose one(list[i], reply.place, prefix_of("volsnapshots", i));
    VolumeSnapshot volume;
    volume.volume_urn = one.need_text("volumeUrn");
    volume.volume_uri =
        one.has("volumeUri") ? one.uri("volumeUri") : uri_of_urn(volume.volume_urn, call);
    volume.datastore_urn = one.text("datastoreUrn");
    volume.uuid = one.text("snapUuid");
    volume.name_on_device = one.text("snapNameOnDev");
    volume.tracking_begun = one.text("volCBTCreateTime");
    volume.change_number = one.optional_number(one.has("chgID") ? "chgID" : "ChgID");
    detail.volumes.push_back(std::move(volume));
  }
  return detail;
}

StartedTask parse_started(std::string_view body, const std::string& call) {
  const Reply reply(body, call);
  const Loose fields = reply.fields();
  return {fields.uri("taskUri"), fields.optional_uri("uri"), fields.text("urn")};
}

TaskState parse_task(std::string_view body, const std::string& call) {
  const Reply reply(body, call);
  const Loose fields = reply.fields();
  return {fields.need_text("status"), fields.text("reason"), fields.text("reasonDes")};
}

ChangedPage parse_changed(std::string_view body, std::uint64_t asked, const std::string& call) {
  const Reply reply(body, call);
  const Loose fields = reply.fields();
  const std::uint64_t sectors = fields.number("sectorOfBlock");
  if (sectors == 0 || sectors > k_largest_block / k_sector) {
    fields.refuse("sectorOfBlock", fmt::format("is no size of a block: {}", sectors));
  }
  ChangedPage page;
  page.block_size = sectors * k_sector;
  page.blocks = fields.number("bitNum");
  if (page.blocks > asked) {
    fields.refuse("bitNum", fmt::format("is {}, and {} were asked for", page.blocks, asked));
  }
  const std::string map = fields.text("bitMap");
  const std::uint64_t characters = (page.blocks + 3) / 4;
  // Some may fill up the last byte.
  if (map.size() != characters && map.size() != (page.blocks + 7) / 8 * 2) {
    fields.refuse("bitMap", fmt::format("has {} characters, and {} bits have {}", map.size(),
                                        page.blocks, characters));
  }
  page.bits = bytes_of(map, fields);
  std::uint64_t ones = 0;
  for (std::uint64_t bit = 0; bit < page.bits.size() * 8; ++bit) {
    if (page.is_set(bit)) {
      if (bit >= page.blocks) {
        fields.refuse("bitMap", "has a bit set behind its end");
      }
      ++ones;
    }
  }
  if (const std::uint64_t said = fields.number("bit1Num"); said != ones) {
    fields.refuse("bit1Num", fmt::format("is {}, and {} bits are set", said, ones));
  }
  return page;
}

BackupResource parse_resource(std::string_view body, const std::string& call) {
  const Reply reply(body, call);
  const Loose fields = reply.fields();
  BackupResource resource;
  resource.host = fields.text("hostIP");
  const std::uint64_t port = fields.optional_number("hostPort");
  if (port > 65535) {
    fields.refuse("hostPort", fmt::format("is no port: {}", port));
  }
  resource.port = static_cast<std::uint16_t>(port);
  resource.target_file = fields.text("targetFile");
  resource.token = fields.text("token");
  resource.status = fields.text("status");
  resource.ca_pem = fields.text("caCert");
  return resource;
}

void throw_refusal(std::string_view body, int status, const std::string& call) {
  const bool passing = status >= 500 || status == 429;
  try {
    const Reply reply(body, call);
    const Loose fields = reply.fields();
    if (std::string code = fields.text("errorCode"); !code.empty()) {
      throw VrmError(std::move(code), fields.text("errorDes"), call);
    }
  } catch (const VrmError&) {
    throw;
  } catch (const Error&) {  // NOLINT: it is said by its status below
  }
  throw Error(ErrorKind::failed, fmt::format("the server answers HTTP {}", status), call,
              passing ? "it may be starting: see whether its own pages open"
                      : "check that endpoint is that of a VRM",
              passing ? Transience::transient : Transience::permanent);
}

}  // namespace hamal::fusioncompute
