// What stands on a pipe: told by its first bytes, before a reader is chosen.
#pragma once
#include <string>

namespace hamal {

enum class StreamKind { extents, data, snapshot_document, empty, unknown };

/// Reads as much as it needs (one line, or all of a snapshot document) and appends it to `prefix`,
/// which the reader of that kind takes. A damaged stream is told by its name where it still can be,
/// so that its reader says what is wrong.
StreamKind detect_stream(int fd, std::string& prefix);

}  // namespace hamal
