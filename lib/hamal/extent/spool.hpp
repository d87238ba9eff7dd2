// A list of extents in a file: what a run plans to change, kept while it does (design rule 2).
//
// The file, numbers little-endian:
//   header  magic "HAMALSP\x01" (its last byte is the version), disk size u64
//   body    per extent two varints: (gap since the end of the one before) * 2 + (1 if zero), length
//   footer  extents, data bytes, zero bytes, length of the body (u64 each),
//           XXH3-64 of everything before it, magic "HAMALSPE"
// It is written beside its name, flushed and renamed: under its name it is whole, or damaged by
// something else, which the checksum tells.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "hamal/extent/extent.hpp"
#include "hamal/extent/totals.hpp"

namespace hamal {

/// Not thread-safe. Destroyed before finish(): nothing is left behind and an older spool of that
/// name stays.
class SpoolWriter {
 public:
  SpoolWriter(std::filesystem::path path, std::uint64_t disk_size);
  ~SpoolWriter();
  SpoolWriter(const SpoolWriter&) = delete;
  SpoolWriter& operator=(const SpoolWriter&) = delete;

  /// Throws std::logic_error for extents that break the promises of ExtentSource.
  void append(std::span<const Extent> extents);
  /// On return the spool is durable under its name.
  ExtentTotals finish();

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

/// Writes all of a source.
ExtentTotals spool_extents(const std::filesystem::path& path, std::uint64_t disk_size,
                           ExtentSource& source);

/// A finished spool, checked whole when opened. Thread-safe; what extents() gave may outlive it.
class Spool {
 public:
  /// Throws an Error for a file that is truncated, damaged, of a newer version or no spool.
  explicit Spool(const std::filesystem::path& path);
  ~Spool();
  Spool(Spool&&) noexcept;
  Spool& operator=(Spool&&) noexcept;

  const ExtentTotals& totals() const noexcept;
  std::uint64_t disk_size() const noexcept;
  /// From the start, each time.
  ExtentSourcePtr extents() const;

  struct Content;

 private:
  std::shared_ptr<const Content> m_content;
};

}  // namespace hamal
