// Extents, and sources that hand them out window by window.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

namespace hamal {

/// What a range of a disk holds. A zero extent reads as zeros and carries no bytes anywhere.
enum class ExtentKind : std::uint8_t { data, zero };

/// A range of a disk; offset and length in bytes.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  ExtentKind kind = ExtentKind::data;

  std::uint64_t end() const noexcept { return offset + length; }
  friend bool operator==(const Extent&, const Extent&) = default;
};

/// A lazy, ascending sequence of extents, handed out in windows so that a disk with ten million of
/// them costs the memory of one window. Every source promises: extents are non-empty, sorted,
/// disjoint (across windows too), without overflow; windows are non-empty and bounded
/// (about k_window_extents). Not thread-safe. Errors: hamal::Error; after one the source is spent.
class ExtentSource {
 public:
  static constexpr std::size_t k_window_extents = 4096;
  virtual ~ExtentSource() = default;
  /// Replaces `window` by the next extents; false (and an empty window) at the end.
  virtual bool next(std::vector<Extent>& window) = 0;
};

using ExtentSourcePtr = std::unique_ptr<ExtentSource>;

}  // namespace hamal
