// The same for many things at once, by a few threads.
#pragma once
#include <cstddef>
#include <functional>

namespace hamal {

/// Calls each(0) … each(count - 1) from up to `threads` threads and returns when all have ended.
/// The first exception stops what has not begun, and is thrown.
void for_each_parallel(std::size_t count, unsigned threads,
                       const std::function<void(std::size_t)>& each);

}  // namespace hamal
