// Foreign extents are input: checked before anything believes them (design rule 6).
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "hamal/extent/extent.hpp"

namespace hamal {

/// The largest disk anything here can describe, bytes.
inline constexpr std::uint64_t k_max_disk_size = (std::uint64_t{1} << 63) - 1;

/// "offset 0, length 512, data"
std::string describe(const Extent& extent);

/// What is wrong with an extent that follows one ending at `previous_end` and starting at
/// `previous_begin` on a disk of `disk_size` bytes, as the rest of a sentence ("is empty"); nullopt
/// when nothing is.
std::optional<std::string> extent_problem(const Extent& extent, std::uint64_t previous_begin,
                                          std::uint64_t previous_end, std::uint64_t disk_size);

/// Passes the extents through and throws an Error at the first that is empty, not inside the disk,
/// overlaps or goes backwards. `name` is the reply they came in ("the allocation map of
/// nbd://host/disk"). Windows larger than k_window_extents are cut.
ExtentSourcePtr validate(ExtentSourcePtr source, std::uint64_t disk_size, std::string name);

}  // namespace hamal
