// Reading two disks side by side and naming the ranges that differ. Writes nothing.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hamal/block/block_reader.hpp"
#include "hamal/extent/extent.hpp"
#include "hamal/report/progress.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal {

struct CompareRequest {
  BlockReader& source;
  BlockReader& target;
  unsigned readers = 2;
  std::string object;  ///< for progress
  Progress& progress;
  const CancelToken& cancel;
};

struct CompareResult {
  std::uint64_t source_size = 0;
  std::uint64_t target_size = 0;
  std::uint64_t read_bytes = 0;       ///< of each side; ranges both call zero are not read
  std::uint64_t differing_bytes = 0;  ///< in blocks of 4 KiB
  /// Ascending, joined; at most k_max_differences of them.
  std::vector<Extent> differences;
  bool truncated = false;
  static constexpr std::size_t k_max_differences = 10'000;
  /// A target may be larger (a device's tail is left alone), never smaller.
  bool same() const { return differing_bytes == 0 && target_size >= source_size; }
};

CompareResult compare_disks(const CompareRequest& request);

}  // namespace hamal
