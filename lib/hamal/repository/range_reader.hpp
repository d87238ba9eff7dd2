// Reads a range of a version's disk with the calling thread: entries → records, grouped by where
// they lie → few requests → plain bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hamal/repository/layer_stack.hpp"
#include "hamal/repository/pack_reader.hpp"
#include "hamal/repository/record.hpp"

namespace hamal::repository {

/// Where a part of the disk goes. Parts of one call ascend and are disjoint.
struct WantedRange {
  std::uint64_t offset = 0;
  std::span<std::byte> into;
  std::uint64_t end() const noexcept { return offset + into.size(); }
};

/// Not thread-safe: one per thread.
class RangeReader {
 public:
  /// All outlive it. `name` is the disk's, for people.
  RangeReader(Repository& repository, PackReader& packs, const std::string& name);

  /// `entries` are those visible in the ranges, cut at the bounds of each. What none covers is
  /// zero. Throws an Error that names the first bytes that cannot be read.
  void read(const std::vector<WantedRange>& ranges, const std::vector<LayerEntry>& entries);

 private:
  /// A record, and the parts of it that are wanted: entries [first, end).
  struct Record {
    RecordPlace place;
    std::size_t first = 0;
    std::size_t end = 0;
  };
  /// Records of one pack, near enough to be fetched together.
  struct Run {
    std::size_t first = 0;
    std::size_t end = 0;
  };
  void group(const std::vector<LayerEntry>& entries);
  void read_run(const std::vector<WantedRange>& ranges, const Run& run);
  void decode(const std::vector<WantedRange>& ranges, const Record& record, ByteView stored,
              std::span<const KeyId> keys, const std::string& object);
  [[noreturn]] void rethrow(const Record& record) const;

  Repository& m_repository;
  PackReader& m_packs;
  const std::string& m_name;
  RecordDecoder m_decoder;
  std::vector<LayerEntry> m_entries;  ///< of data, in the order of their places
  std::vector<Record> m_records;
  std::vector<Run> m_runs;
  Bytes m_buffer;
  Bytes m_plain;
};

}  // namespace hamal::repository
