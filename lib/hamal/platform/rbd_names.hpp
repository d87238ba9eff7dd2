// What we call snapshots of images, and the change ids of images.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace hamal {

/// A snapshot of ours is called "hamal-MARK-TIME-RANDOM" while it is held and, once a run has
/// committed it, "hamal-MARK-TIME-RANDOM.base": then it only marks where changes count from.
struct RbdSnapshotName {
  std::string id;    ///< MARK-TIME-RANDOM
  std::string mark;  ///< of the installation
  bool base = false;
};

std::string new_snapshot_id(const std::string& mark);
std::string held_name(const std::string& id);
std::string base_name(const std::string& id);
/// nullopt: not called like one of ours (of any installation).
std::optional<RbdSnapshotName> parse_snapshot_name(const std::string& name);
/// RFC 3339, of an id of ours; else empty.
std::string created_of_snapshot(const std::string& id);

/// "rbd:IMAGE_ID:SNAPSHOT_ID:NAME". The ids alone decide: a new image, or a new snapshot, of the
/// same name is another one. The name is for people.
struct RbdChangeId {
  std::string image;
  std::uint64_t snapshot = 0;
  std::string name;
};

std::string to_string(const RbdChangeId& id);
std::optional<RbdChangeId> parse_rbd_change_id(const std::string& text);

}  // namespace hamal
