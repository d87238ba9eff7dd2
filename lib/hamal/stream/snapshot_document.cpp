// Writing and parsing the snapshot document.
#include "hamal/stream/snapshot_document.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "hamal/json/strict_json.hpp"
#include "hamal/stream/data_stream.hpp"
#include "hamal/stream/header_json.hpp"

namespace hamal {
namespace {

constexpr std::string_view k_format = "hamal-snapshot";
constexpr std::uint64_t k_version = 1;
constexpr std::size_t k_max_document = 16U << 20;

SnapshotDisk parse_disk(const Fields& fields, std::size_t position) {
  SnapshotDisk disk;
  disk.id = fields.id("id");
  disk.label = fields.optional_text("label");
  disk.size = fields.number("size");
  disk.change_id = fields.optional_text("change_id");
  disk.source = fields.text("source");
  disk.tracked = fields.optional_flag("tracked");
  disk.untracked_reason = fields.optional_text("untracked_reason");
  if (fields.has("index") && fields.number("index") != position) {
    disk.index = fields.number("index");
  }
  return disk;
}

/// A stream of many lines is no JSON as a whole: its own first line says what it is.
void refuse_streams(std::string_view text, const Place& place) {
  if (text.empty()) {
    place.refuse("is empty, not a snapshot document",
                 "the command that should have printed it failed; see its messages");
  }
  if (text.starts_with(k_data_stream_magic.substr(0, 7))) {
    place.refuse("is a data stream, not a snapshot document");
  }
  const std::size_t line = text.find('\n');
  if (line != std::string_view::npos && line + 1 < text.size()) {
    const auto first =
        nlohmann::json::parse(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(line),
                              nullptr, /*allow_exceptions=*/false);
    if (first.is_object() && first.contains("format") && first["format"] == k_extents_format) {
      place.refuse("is an extent stream, not a snapshot document");
    }
  }
}

}  // namespace

const SnapshotDisk& SnapshotDocument::disk(std::string_view id_or_index) const {
  for (const SnapshotDisk& candidate : disks) {
    if (candidate.id == id_or_index) {
      return candidate;
    }
  }
  std::uint64_t index = 0;
  const char* end = id_or_index.data() + id_or_index.size();
  const auto [rest, error] = std::from_chars(id_or_index.data(), end, index);
  for (std::size_t i = 0; error == std::errc() && rest == end && i < disks.size(); ++i) {
    if (index_of(i) == index) {
      return disks[i];
    }
  }
  std::string known;
  for (const SnapshotDisk& candidate : disks) {
    known += (known.empty() ? "" : ", ") + candidate.id;
  }
  throw Error(ErrorKind::usage, "has no disk " + in_quotes(id_or_index),
              vm_name.empty() ? vm_id : vm_name, "it has " + known);
}

std::string to_json(const SnapshotDocument& document) {
  const Place place{"the snapshot document of vm " + in_quotes(document.vm_id), ErrorKind::failed};
  nlohmann::ordered_json json{{"format", k_format},
                              {"version", k_version},
                              {"platform", document.platform},
                              {"platform_type", document.platform_type},
                              {"vm_id", document.vm_id},
                              {"vm_name", document.vm_name},
                              {"snapshot_id", document.snapshot_id},
                              {"created", document.created},
                              {"quiesced", document.quiesced}};
  auto disks = nlohmann::ordered_json::array();
  for (const SnapshotDisk& disk : document.disks) {
    disks.push_back({{"id", disk.id},
                     {"label", disk.label},
                     {"size", disk.size},
                     {"change_id", disk.change_id},
                     {"source", disk.source},
                     {"tracked", disk.tracked},
                     {"untracked_reason", disk.untracked_reason}});
    if (disk.index && *disk.index != disks.size() - 1) {
      disks.back()["index"] = *disk.index;
    }
  }
  json["disks"] = std::move(disks);
  json["platform_data"] = nlohmann::ordered_json(parse_strict(document.platform_data, place));
  json["hardware"] = nlohmann::ordered_json(parse_strict(document.hardware, place));
  std::string text = dump(json) + "\n";
  const SnapshotDocument back = parse_snapshot_document(text, place.object);
  const auto same = [](const SnapshotDisk& a, const SnapshotDisk& b) {
    return a.id == b.id && a.change_id == b.change_id && a.source == b.source;
  };
  if (back.platform != document.platform || back.vm_id != document.vm_id ||
      back.snapshot_id != document.snapshot_id ||
      !std::equal(back.disks.begin(), back.disks.end(), document.disks.begin(),
                  document.disks.end(), same)) {
    place.refuse("holds an id, change id or source that is not UTF-8");
  }
  return text;
}

SnapshotDocument parse_snapshot_document(std::string_view json, const std::string& name) {
  const Place place{name, ErrorKind::usage};
  if (json.size() > k_max_document) {
    place.refuse("is larger than 16 MiB: it is no snapshot document");
  }
  refuse_streams(json, place);
  const nlohmann::json object = parse_strict(json, place);
  const Fields fields(object, place);
  check_format(fields, k_format, k_version, place);
  SnapshotDocument document;
  document.platform = fields.id("platform");
  document.platform_type = fields.optional_text("platform_type");
  document.vm_id = fields.id("vm_id");
  document.vm_name = fields.optional_text("vm_name");
  document.snapshot_id = fields.text("snapshot_id");
  document.created = fields.optional_text("created");
  document.quiesced = fields.optional_flag("quiesced");
  const nlohmann::json& disks = fields.require_array("disks");
  if (disks.size() > k_max_stream_disks) {
    fields.refuse("disks",
                  fmt::format("has {} disks, more than {}", disks.size(), k_max_stream_disks));
  }
  std::set<std::string> ids;
  std::set<std::uint64_t> indexes;
  for (const nlohmann::json& disk : disks) {
    const std::size_t position = document.disks.size();
    document.disks.push_back(
        parse_disk(Fields(disk, place, fmt::format("disks[{}].", position)), position));
    if (!ids.insert(document.disks.back().id).second) {
      place.refuse(fmt::format("the disk {} is given twice", in_quotes(document.disks.back().id)));
    }
    if (!indexes.insert(document.index_of(position)).second) {
      place.refuse(fmt::format("the index {} is given twice", document.index_of(position)));
    }
  }
  if (fields.has("platform_data")) {
    document.platform_data = fields.require_object("platform_data").dump();
  }
  if (fields.has("hardware")) {
    document.hardware = fields.require_object("hardware").dump();
  }
  return document;
}

}  // namespace hamal
