// Operations on extent sources. Each takes its operands over, holds one window of each and is lazy:
// memory never depends on the size of a disk. Results keep the promises of ExtentSource, but may
// hold adjacent extents of one kind; coalesce() joins them.
#pragma once
#include <cstdint>

#include "hamal/extent/extent.hpp"

namespace hamal {

/// What either covers. Where both do, the kind is that of `later`.
ExtentSourcePtr unite(ExtentSourcePtr earlier, ExtentSourcePtr later);

enum class KindOf { first, second };
/// What both cover, with the kind of the chosen operand: (dirty, allocation, KindOf::second) says
/// of each changed range whether it now is data or zero.
ExtentSourcePtr intersect(ExtentSourcePtr first, ExtentSourcePtr second, KindOf kind);

/// What `from` covers and `what` does not.
ExtentSourcePtr subtract(ExtentSourcePtr from, ExtentSourcePtr what);

/// Whole blocks of `granularity` bytes (the last one ends at `size`): a block that is touched is in
/// the result, as zero only if zero extents cover all of it, else as data. A zero extent that only
/// grew into its neighbourhood would wipe bytes that nobody said are zero.
ExtentSourcePtr align(ExtentSourcePtr source, std::uint64_t granularity, std::uint64_t size);

/// The part inside [begin, end).
ExtentSourcePtr clip(ExtentSourcePtr source, std::uint64_t begin, std::uint64_t end);

/// Joins adjacent extents of one kind, and data extents with a gap of at most `max_gap` bytes
/// between them: the gap is then data too (read for nothing, but in one request). Gaps beside zero
/// extents stay.
ExtentSourcePtr coalesce(ExtentSourcePtr source, std::uint64_t max_gap = 0);

/// Covers [0, size): what the source does not is zero.
ExtentSourcePtr fill_gaps(ExtentSourcePtr source, std::uint64_t size);

}  // namespace hamal
