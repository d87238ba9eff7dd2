// The header that opens both stream formats (hamal-stream(5), HEADER).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/extent/totals.hpp"

namespace hamal {

/// More disks than any platform gives a vm: what a reader accepts.
inline constexpr std::size_t k_max_stream_disks = 1024;

enum class SyncMode { full, incremental };
const char* to_string(SyncMode mode) noexcept;

/// What the stream says of one disk before its first extent.
struct StreamDisk {
  std::string id;
  std::string label;
  std::uint64_t size = 0;  ///< bytes
  SyncMode mode = SyncMode::full;
  std::string reason;  ///< why this mode, for people and for the result
  std::string
      base_change_id;     ///< of an incremental: applied only if it equals the target's checkpoint
  std::string change_id;  ///< of the snapshot the extents lead to; empty when untracked
  std::string source;     ///< endpoint URI of the frozen disk
  std::string read_by;    ///< the way it is read, where its platform knows several
  std::string read_by_reason;  ///< why this way, for people
  /// The disk's place in the vm, whatever disks were chosen: {index} of a target pattern.
  std::uint64_t index = 0;
  friend bool operator==(const StreamDisk&, const StreamDisk&) = default;
};

struct StreamHeader {
  std::string platform;
  std::string platform_type;
  std::string vm_id;
  std::string vm_name;
  std::string snapshot_id;
  std::string created;  ///< of the snapshot, RFC 3339
  std::vector<StreamDisk> disks;
  friend bool operator==(const StreamHeader&, const StreamHeader&) = default;
};

/// Extent and byte counts of one disk: the trailer of both formats must agree with what was read.
using StreamTotals = ExtentTotals;

}  // namespace hamal
