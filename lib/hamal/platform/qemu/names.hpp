// The names of what we create in QEMU: everything we own is found again by its name alone.
//
//   hamal-MARK-SEQ-RAND      the id of a snapshot. MARK: the installation, SEQ: order within the vm
//   SNAPSHOT-PREV-OWN        a bitmap. PREV: RAND of the bitmap it continues, or "none"; OWN: its
//                            own random digits, so that the bitmaps of two disks in one snapshot
//                            are told apart
//   SNAPSHOT-read-RAND       a temporary bitmap and its export, while changes are read
//   SNAPSHOT-cN -tN -fN -sN  nodes of disk N: copy-before-write, scratch, its file, frozen view
//   SNAPSHOT-xN              the export of the frozen view
//   hamal-MARK-top-RAND      a permanent `raw` filter under a guest's device
//   hamal-MARK-nbd           marks an NBD server that we started
//
// QEMU allows 31 characters for the name of a node, and 1023 for that of a bitmap.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hamal::qemu {

inline constexpr const char* k_no_previous = "none";
inline constexpr std::size_t k_max_node_name = 31;

struct SnapshotName {
  std::string mark;
  std::uint32_t sequence = 0;
  std::string random;
  friend bool operator==(const SnapshotName&, const SnapshotName&) = default;
};
std::string to_string(const SnapshotName& name);
/// nullopt for anything that we would not have written ourselves.
std::optional<SnapshotName> parse_snapshot_name(std::string_view text);

struct BitmapName {
  SnapshotName snapshot;
  std::string previous;
  std::string own;
  friend bool operator==(const BitmapName&, const BitmapName&) = default;
};
std::string to_string(const BitmapName& name);
/// Another at every call.
std::string new_own();
std::optional<BitmapName> parse_bitmap_name(std::string_view text);

enum class NodeKind : char {
  filter = 'c',
  scratch = 't',
  scratch_file = 'f',
  frozen = 's',
  frozen_export = 'x',
};
std::string node_name(const std::string& snapshot_id, NodeKind kind, std::size_t disk);
/// The export of the disk whose copy-before-write node this is.
std::string frozen_export_of(const std::string& filter_node);

/// "SNAPSHOT-anything": the snapshot and what follows it.
struct OwnedName {
  SnapshotName snapshot;
  std::string rest;
};
std::optional<OwnedName> parse_owned_name(std::string_view text);

std::string read_name(const std::string& snapshot_id, const std::string& random);
bool is_read_name(const OwnedName& name);
std::string top_filter_name(const std::string& mark, const std::string& random);
bool is_top_filter_name(std::string_view text, const std::string& mark);
std::string server_marker_name(const std::string& mark);
/// Any installation's.
bool is_hamal_name(std::string_view text);
bool is_mark(std::string_view text);

}  // namespace hamal::qemu
