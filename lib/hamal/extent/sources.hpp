// Sources that need no other source, and draining one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "hamal/extent/extent.hpp"

namespace hamal {

/// The extents of a vector, which must keep the promises of ExtentSource.
ExtentSourcePtr vector_source(std::vector<Extent> extents,
                              std::size_t window_extents = ExtentSource::k_window_extents);

ExtentSourcePtr empty_source();

/// One extent that covers a disk; nothing for a disk of no bytes.
ExtentSourcePtr whole_disk(std::uint64_t size, ExtentKind kind);

/// All extents at once: for short lists (tests, one window's worth), never for a disk's.
std::vector<Extent> collect(ExtentSource& source);

}  // namespace hamal
