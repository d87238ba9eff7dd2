// Writing and checking headers and trailers.
#include "hamal/stream/header_json.hpp"

#include <fmt/core.h>

#include <set>

namespace hamal {
namespace {

SyncMode parse_mode(const Fields& disk) {
  const std::string mode = disk.text("mode");
  if (mode == "full") {
    return SyncMode::full;
  }
  if (mode == "incremental") {
    return SyncMode::incremental;
  }
  disk.refuse("mode", fmt::format("must be full or incremental, not {}", in_quotes(mode)));
}

StreamDisk parse_disk(const Fields& fields, std::size_t position) {
  StreamDisk disk;
  disk.id = fields.id("id");
  disk.label = fields.optional_text("label");
  disk.size = fields.number("size");
  disk.mode = parse_mode(fields);
  disk.reason = fields.optional_text("reason");
  disk.base_change_id = disk.mode == SyncMode::incremental ? fields.id("base_change_id")
                                                           : fields.optional_text("base_change_id");
  disk.change_id = fields.optional_text("change_id");
  disk.source = fields.optional_text("source");
  disk.read_by = fields.optional_text("read_by");
  disk.read_by_reason = fields.optional_text("read_by_reason");
  disk.index = fields.has("index") ? fields.number("index") : position;
  return disk;
}

/// The identities must survive as they are; a label may be repaired.
bool same_identity(const StreamHeader& a, const StreamHeader& b) {
  if (a.platform != b.platform || a.vm_id != b.vm_id || a.snapshot_id != b.snapshot_id) {
    return false;
  }
  for (std::size_t i = 0; i < a.disks.size(); ++i) {
    const StreamDisk& x = a.disks[i];
    const StreamDisk& y = b.disks[i];
    if (x.id != y.id || x.base_change_id != y.base_change_id || x.change_id != y.change_id ||
        x.source != y.source) {
      return false;
    }
  }
  return true;
}

void check_count(const Fields& fields, const char* field, std::uint64_t arrived,
                 const std::string& disk, const Place& place) {
  if (const std::uint64_t claimed = fields.number(field); claimed != arrived) {
    place.refuse(fmt::format("the trailer disagrees: it counts {} {} of disk {}, {} arrived",
                             claimed, field, in_quotes(disk), arrived),
                 "part of the stream was lost; run the pipe again");
  }
}

}  // namespace

std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string header_to_json(const StreamHeader& header, std::string_view format) {
  nlohmann::ordered_json json{{"format", format},
                              {"version", k_stream_version},
                              {"platform", header.platform},
                              {"platform_type", header.platform_type},
                              {"vm_id", header.vm_id},
                              {"vm_name", header.vm_name},
                              {"snapshot_id", header.snapshot_id},
                              {"created", header.created}};
  auto disks = nlohmann::ordered_json::array();
  for (const StreamDisk& disk : header.disks) {
    disks.push_back({{"id", disk.id},
                     {"label", disk.label},
                     {"size", disk.size},
                     {"mode", to_string(disk.mode)},
                     {"reason", disk.reason},
                     {"base_change_id", disk.base_change_id},
                     {"change_id", disk.change_id},
                     {"source", disk.source}});
    if (!disk.read_by.empty()) {
      disks.back()["read_by"] = disk.read_by;
      disks.back()["read_by_reason"] = disk.read_by_reason;
    }
    if (disk.index != disks.size() - 1) {
      disks.back()["index"] = disk.index;
    }
  }
  json["disks"] = std::move(disks);
  std::string text = dump(json);
  const Place place{"the header of vm " + in_quotes(header.vm_id), ErrorKind::failed};
  if (text.size() > k_max_header) {
    place.refuse("is larger than 16 MiB");
  }
  if (!same_identity(header, parse_header(text, format, place))) {
    place.refuse("holds an id, change id or source that is not UTF-8");
  }
  return text;
}

StreamHeader parse_header(std::string_view json, std::string_view format, const Place& place) {
  const nlohmann::json object = parse_strict(json, place);
  const Fields fields(object, place);
  check_format(fields, format, k_stream_version, place);
  StreamHeader header;
  header.platform = fields.id("platform");
  header.platform_type = fields.optional_text("platform_type");
  header.vm_id = fields.id("vm_id");
  header.vm_name = fields.optional_text("vm_name");
  header.snapshot_id = fields.optional_text("snapshot_id");
  header.created = fields.optional_text("created");
  const nlohmann::json& disks = fields.require_array("disks");
  if (disks.size() > k_max_stream_disks) {
    fields.refuse("disks",
                  fmt::format("has {} disks, more than {}", disks.size(), k_max_stream_disks));
  }
  std::set<std::string> ids;
  for (const nlohmann::json& disk : disks) {
    header.disks.push_back(parse_disk(
        Fields(disk, place, fmt::format("disks[{}].", header.disks.size())), header.disks.size()));
    if (!ids.insert(header.disks.back().id).second) {
      place.refuse(fmt::format("the disk {} is given twice", in_quotes(header.disks.back().id)));
    }
  }
  return header;
}

std::string trailer_to_json(const StreamHeader& header, const std::vector<StreamTotals>& totals) {
  auto disks = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < header.disks.size(); ++i) {
    disks[header.disks[i].id] = {{"extents", totals[i].extents},
                                 {"data_bytes", totals[i].data_bytes},
                                 {"zero_bytes", totals[i].zero_bytes}};
  }
  return dump({{"trailer", std::move(disks)}});
}

void check_trailer(const nlohmann::json& object, const StreamHeader& header,
                   const std::vector<StreamTotals>& totals, const Place& place) {
  const nlohmann::json& trailer = Fields(object, place).require_object("trailer");
  for (std::size_t i = 0; i < header.disks.size(); ++i) {
    const std::string& id = header.disks[i].id;
    const auto entry = trailer.find(id);
    if (entry == trailer.end()) {
      place.refuse(fmt::format("the trailer does not count disk {}", in_quotes(id)));
    }
    const Fields fields(*entry, place, "trailer." + in_quotes(id) + ".");
    check_count(fields, "extents", totals[i].extents, id, place);
    check_count(fields, "data_bytes", totals[i].data_bytes, id, place);
    check_count(fields, "zero_bytes", totals[i].zero_bytes, id, place);
  }
  if (trailer.size() != header.disks.size()) {
    place.refuse("the trailer counts a disk that the header does not have");
  }
}

}  // namespace hamal
