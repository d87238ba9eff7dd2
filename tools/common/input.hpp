// Operands that are documents: a file, or "-" for standard input.
#pragma once
#include <string>

#include "hamal/stream/snapshot_document.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal {

inline constexpr std::size_t k_largest_document = 16U << 20;

/// The whole text of a file or of standard input ("-"); waiting for it can be interrupted. Throws
/// Error(usage) for one that is larger than `largest` bytes.
std::string read_operand(const std::string& path, const CancelToken& cancel,
                         std::size_t largest = k_largest_document);

/// Throws Error(usage) that names the file and what is wrong with it.
SnapshotDocument read_snapshot_document(const std::string& path, const CancelToken& cancel);

}  // namespace hamal
