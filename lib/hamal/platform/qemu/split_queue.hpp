// A read queue that splits requests so that none crosses a boundary.
#pragma once
#include <cstdint>
#include <memory>

#include "hamal/block/io_queue.hpp"

namespace hamal::qemu {

/// Each request completes once, when all its parts have, with the first error among them.
std::unique_ptr<ReadQueue> split_queue(std::unique_ptr<ReadQueue> inner, std::uint64_t boundary);

}  // namespace hamal::qemu
