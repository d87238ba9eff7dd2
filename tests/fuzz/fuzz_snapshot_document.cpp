// Parses arbitrary bytes as a snapshot document; what is accepted must survive being written and
// parsed again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hamal/stream/snapshot_document.hpp"
#include "hamal/util/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  hamal::SnapshotDocument document;
  try {
    document = hamal::parse_snapshot_document(text, "fuzz");
  } catch (const hamal::Error&) {
    return 0;
  }
  if (hamal::parse_snapshot_document(hamal::to_json(document), "again") != document) {
    std::abort();
  }
  return 0;
}
