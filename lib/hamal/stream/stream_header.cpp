// The words of the header.
#include "hamal/stream/stream_header.hpp"

namespace hamal {

const char* to_string(SyncMode mode) noexcept {
  return mode == SyncMode::full ? "full" : "incremental";
}

}  // namespace hamal
