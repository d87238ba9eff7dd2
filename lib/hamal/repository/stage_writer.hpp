// From the bytes of a disk to records: the BlockWriter of a stage. Hashing and compression are done
// by the threads that write, one queue each.
#pragma once
#include <atomic>
#include <memory>
#include <string>

#include "hamal/block/block_writer.hpp"
#include "hamal/repository/journal.hpp"
#include "hamal/repository/pack_writer.hpp"
#include "hamal/stream/stream_header.hpp"

namespace hamal::repository {

struct StageWriterContext {
  const Keyring& keyring;
  PackWriter& packs;
  Journal& journal;
  std::string uri;
  std::uint64_t size = 0;
  SyncMode mode = SyncMode::full;  ///< in a full what nothing covers is zero: zeros need no entry
  unsigned compression = 1;        ///< level of zstd, 0: none
  std::atomic<std::uint64_t>& zero_bytes;  ///< counts those
};

std::unique_ptr<BlockWriter> make_stage_writer(const StageWriterContext& context);

}  // namespace hamal::repository
