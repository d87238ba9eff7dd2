// Operands that are documents: a file, or "-" for standard input.
#pragma once
#include <string>

#include "hamal/stream/snapshot_document.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal {

/// The whole text of a file or of standard input ("-"); waiting for it can be interrupted.
std::string read_operand(const std::string& path, const CancelToken& cancel);

/// Throws Error(usage) that names the file and what is wrong with it.
SnapshotDocument read_snapshot_document(const std::string& path, const CancelToken& cancel);

}  // namespace hamal
