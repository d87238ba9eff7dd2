// Slots as text: JSON on one line, authenticated, bound to the key of the object.
#include "hamal/repository/manifest.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "hamal/extent/validate.hpp"
#include "hamal/json/strict_json.hpp"
#include "hamal/repository/authentic_text.hpp"
#include "hamal/repository/hash.hpp"
#include "hamal/repository/record.hpp"

namespace hamal::repository {
namespace {

using nlohmann::json;

constexpr std::string_view k_version_format = "hamal-version";
constexpr std::string_view k_tombstone_format = "hamal-tombstone";
constexpr std::string_view k_staged_format = "hamal-staged-disk";
constexpr std::uint64_t k_version = 1;
constexpr std::uint64_t k_highest_generation = 9'999'999'999;  // 10 digits in the slot's key

json to_json(const LayerReference& layer) {
  return {{"key", layer.key},
          {"bytes", layer.bytes},
          {"sha256", to_hex(layer.digest)},
          {"entries", layer.entries}};
}

json to_json(const DiskVersion& disk) {
  json layers = json::array();
  for (const LayerReference& layer : disk.layers) {
    layers.push_back(to_json(layer));
  }
  return {{"id", disk.id},
          {"label", disk.label},
          {"index", disk.index},
          {"size", disk.size},
          {"change_id", disk.change_id},
          {"mode", to_string(disk.mode)},
          {"reason", disk.reason},
          {"layers", std::move(layers)},
          {"data_bytes", disk.data_bytes},
          {"zero_bytes", disk.zero_bytes},
          {"stored_bytes", disk.stored_bytes},
          {"shared_bytes", disk.shared_bytes},
          {"packs", disk.packs}};
}

Digest digest_of(const Fields& fields, const char* field) {
  const auto digest = parse_digest(fields.text(field));
  if (!digest) {
    fields.refuse(field, "must be 64 hexadecimal digits");
  }
  return *digest;
}

// layers/SESSION/DISK-N: it will be asked of the store, which takes no other for a key of ours.
bool is_layer_key(std::string_view key) {
  constexpr std::string_view k_folder = "layers/";
  constexpr std::size_t k_session_digits = 32;
  constexpr std::size_t k_longest_name = 41;  // two numbers of 64 bits
  if (!key.starts_with(k_folder)) {
    return false;
  }
  key.remove_prefix(k_folder.size());
  const std::size_t slash = std::min(key.size(), k_session_digits);
  const std::string_view name = key.substr(slash);
  return parse_session_id(key.substr(0, slash)) && name.starts_with('/') && name.size() > 1 &&
         name.size() <= 1 + k_longest_name &&
         name.find_first_not_of("0123456789-", 1) == std::string_view::npos;
}

LayerReference parse_layer(const json& from, const Place& place, const std::string& prefix) {
  const Fields fields(from, place, prefix);
  if (!is_layer_key(fields.text("key"))) {
    fields.refuse("key", "must be the key of a layer");
  }
  return {fields.text("key"), fields.number("bytes"), digest_of(fields, "sha256"),
          fields.number("entries")};
}

DiskVersion parse_disk(const Fields& fields, const Place& place, const std::string& prefix) {
  DiskVersion disk;
  disk.id = fields.id("id");
  disk.label = fields.optional_text("label");
  disk.index = fields.number("index");
  disk.size = fields.number("size");
  disk.change_id = fields.optional_text("change_id");
  const std::string mode = fields.text("mode");
  if (mode != to_string(SyncMode::full) && mode != to_string(SyncMode::incremental)) {
    fields.refuse("mode", "must be full or incremental, not " + in_quotes(mode));
  }
  disk.mode = mode == to_string(SyncMode::full) ? SyncMode::full : SyncMode::incremental;
  disk.reason = fields.optional_text("reason");
  const json& layers = fields.require_array("layers");
  for (std::size_t i = 0; i < layers.size(); ++i) {
    disk.layers.push_back(parse_layer(layers[i], place, fmt::format("{}layers[{}].", prefix, i)));
  }
  disk.data_bytes = fields.number("data_bytes");
  disk.zero_bytes = fields.number("zero_bytes");
  disk.stored_bytes = fields.number("stored_bytes");
  disk.shared_bytes = fields.number("shared_bytes");
  disk.packs = fields.number("packs");
  return disk;
}

SessionId session_of(const Fields& fields) {
  const auto session = parse_session_id(fields.text("session"));
  if (!session) {
    fields.refuse("session", "must be 32 hexadecimal digits");
  }
  return *session;
}

// Kept as text here: what is in it is its readers' business. That it is an object is checked.
std::string object_text(const Fields& fields, const char* field) {
  return fields.require_object(field).dump();
}

Manifest parse_manifest(const Fields& fields, const Place& place) {
  Manifest manifest;
  manifest.repository = fields.id("repository");
  manifest.vm = {fields.id("platform"), fields.id("vm_id")};
  manifest.vm_name = fields.text("vm_name");
  manifest.generation = fields.number("generation");
  if (manifest.generation > k_highest_generation) {
    fields.refuse("generation", "must have 10 digits at most");
  }
  manifest.session = session_of(fields);
  manifest.snapshot_id = fields.text("snapshot_id");
  manifest.created = fields.text("created");
  manifest.committed = fields.text("committed");
  if (fields.has("parent")) {
    const Fields parent(fields.require_object("parent"), place, "parent.");
    manifest.parent = Parent{parent.number("generation"), digest_of(parent, "sha256")};
  }
  manifest.document = object_text(fields, "document");
  const json& disks = fields.require_array("disks");
  std::set<std::string> seen;
  for (std::size_t i = 0; i < disks.size(); ++i) {
    const std::string prefix = fmt::format("disks[{}].", i);
    manifest.disks.push_back(parse_disk(Fields(disks[i], place, prefix), place, prefix));
    if (!seen.insert(manifest.disks.back().id).second) {
      fields.refuse("disks", "names a disk twice: " + in_quotes(manifest.disks.back().id));
    }
  }
  return manifest;
}

Tombstone parse_tombstone(const Fields& fields) {
  const std::string why = fields.text("why");
  if (why != "aborted" && why != "dropped") {
    fields.refuse("why", "must be aborted or dropped, not " + in_quotes(why));
  }
  return {why == "aborted" ? Tombstone::Why::aborted : Tombstone::Why::dropped,
          fields.text("when")};
}

}  // namespace

std::string to_text(const Manifest& manifest, const std::string& key, const Keyring& keyring) {
  json text = {{"format", k_version_format},
               {"version", k_version},
               {"repository", manifest.repository},
               {"platform", manifest.vm.platform},
               {"vm_id", manifest.vm.vm_id},
               {"vm_name", manifest.vm_name},
               {"generation", manifest.generation},
               {"session", to_hex(manifest.session)},
               {"snapshot_id", manifest.snapshot_id},
               {"created", manifest.created},
               {"committed", manifest.committed},
               {"document", json::parse(manifest.document)},
               {"disks", json::array()}};
  if (manifest.parent) {
    text["parent"] = {{"generation", manifest.parent->generation},
                      {"sha256", to_hex(manifest.parent->digest)}};
  }
  for (const DiskVersion& disk : manifest.disks) {
    text["disks"].push_back(to_json(disk));
  }
  return authentic_text(text.dump(), key, keyring);
}

std::string to_text(const Tombstone& tombstone, const std::string& key, const Keyring& keyring) {
  const json text = {{"format", k_tombstone_format},
                     {"version", k_version},
                     {"why", tombstone.why == Tombstone::Why::aborted ? "aborted" : "dropped"},
                     {"when", tombstone.when}};
  return authentic_text(text.dump(), key, keyring);
}

std::string to_text(const DiskVersion& disk, const std::string& key, const Keyring& keyring) {
  json text = to_json(disk);
  text["format"] = k_staged_format;
  text["version"] = k_version;
  return authentic_text(text.dump(), key, keyring);
}

Slot parse_slot(std::string_view text, const std::string& key, const Keyring& keyring) {
  const Place place{key, ErrorKind::failed};
  const json parsed = parse_strict(authentic_line(text, key, keyring, key), place);
  const Fields fields(parsed, place);
  if (fields.optional_text("format") == k_tombstone_format) {
    check_format(fields, k_tombstone_format, k_version, place);
    return parse_tombstone(fields);
  }
  check_format(fields, k_version_format, k_version, place);
  Manifest manifest = parse_manifest(fields, place);
  if (slot_key(manifest.vm, manifest.generation) != key) {
    place.refuse("is the version of another slot", "hamal-repo verify says what suffers");
  }
  return manifest;
}

DiskVersion parse_staged(std::string_view text, const std::string& key, const Keyring& keyring) {
  const Place place{key, ErrorKind::failed};
  const json parsed = parse_strict(authentic_line(text, key, keyring, key), place);
  const Fields fields(parsed, place);
  check_format(fields, k_staged_format, k_version, place);
  return parse_disk(fields, place, "");
}

Digest text_digest(std::string_view text) {
  return sha256(bytes_of(text));
}

}  // namespace hamal::repository
