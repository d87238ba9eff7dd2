#include "hamal/block/block_writer.hpp"

namespace hamal {

// Permanent: the storage hangs, and waiting for it again would hang the run.
Error flush_too_slow(const std::string& uri, std::chrono::milliseconds timeout) {
  return {ErrorKind::failed,
          "the flush took longer than fsync_timeout (" + std::to_string(timeout.count()) + " ms)",
          uri, "see whether the target's storage hangs; the next run goes on from the last flush"};
}

}  // namespace hamal
