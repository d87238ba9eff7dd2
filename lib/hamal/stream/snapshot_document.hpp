// The snapshot document: what `hamal-snapshot create` prints and every other tool takes
// (hamal-stream(5), SNAPSHOT DOCUMENT).
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hamal {

struct SnapshotDisk {
  std::string id;          ///< stable within the vm
  std::string label;       ///< for people
  std::uint64_t size = 0;  ///< bytes
  std::string
      change_id;  ///< opaque cursor of this point in time; empty when the platform tracks nothing
  std::string source;            ///< endpoint URI from which the frozen disk is read
  bool tracked = false;          ///< whether a later snapshot can tell what changed since this one
  std::string untracked_reason;  ///< why not, when not tracked
  /// Its place among the disks of the vm; nullopt: its place in the document.
  std::optional<std::uint64_t> index{};

  friend bool operator==(const SnapshotDisk&, const SnapshotDisk&) = default;
};

struct SnapshotDocument {
  std::string platform;  ///< NAME of the [platform NAME] section, or a type word for ad-hoc sources
  std::string platform_type;  ///< qemu, nbd, file …
  std::string vm_id;
  std::string vm_name;
  std::string snapshot_id;
  std::string created;  ///< RFC 3339
  bool quiesced = false;
  std::vector<SnapshotDisk> disks;
  /// A JSON object only the platform itself understands (what finish must undo); never secrets.
  std::string platform_data = "{}";
  /// A JSON object: what the platform says of the machine itself, for whoever must build it again.
  std::string hardware = "{}";

  /// The place in the vm of the disk at that position of `disks`.
  std::uint64_t index_of(std::size_t position) const {
    return disks.at(position).index.value_or(position);
  }
  /// The disk of that id, or by its index ("0"); throws Error(usage) naming the ones there are.
  const SnapshotDisk& disk(std::string_view id_or_index) const;
  friend bool operator==(const SnapshotDocument&, const SnapshotDocument&) = default;
};

/// One line of JSON, newline-terminated.
std::string to_json(const SnapshotDocument& document);
/// Throws Error(usage) that names the field and what is wrong with it. `name` is where it came
/// from.
SnapshotDocument parse_snapshot_document(std::string_view json, const std::string& name);

}  // namespace hamal
