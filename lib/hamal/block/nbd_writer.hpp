// Writes NBD exports.
#pragma once
#include <atomic>
#include <mutex>
#include <string>

#include "hamal/block/block_reader.hpp"
#include "hamal/block/block_writer.hpp"

namespace hamal {

class NbdConnection;

/// Zeros are NBD WRITE_ZEROES (holes allowed) where the server has it, else written.
///
/// flush() is one NBD FLUSH: with CAN_MULTI_CONN the protocol makes it cover every connection, and
/// without it there is only one. A server without FLUSH has no way to promise that anything is
/// durable: it is refused at open.
///
/// A connection that was cut is never opened again here: nothing since the last good flush can be
/// trusted then (design rule 1), so every later request and flush fails with a transient Error and
/// the caller opens a new writer.
class NbdWriter final : public BlockWriter {
 public:
  /// Connects. Throws Error: transient when the server cannot be reached; wrong_target for a
  /// read-only export and for one that cannot flush.
  /// All that waits for the server ends when `cancel` (which outlives it) is requested.
  explicit NbdWriter(const std::string& uri, const CancelToken* cancel = nullptr);
  ~NbdWriter() override;

  const std::string& uri() const noexcept override;
  std::uint64_t size() const noexcept override;
  std::unique_ptr<WriteQueue> open_queue() override;
  unsigned max_queues() const noexcept override;
  std::uint32_t max_request() const noexcept override;
  using BlockWriter::flush;
  void flush(const FlushBounds& bounds) override;
  /// Reads what is written, over a connection of its own only where the server promises that
  /// several are consistent. May outlive the writer.
  std::unique_ptr<BlockReader> open_reader();

 private:
  class Queue;
  std::shared_ptr<NbdConnection> m_connection;
  /// Unaligned edges are read, changed and written: two of them may lie in one block.
  std::mutex m_edge_mutex;
  std::atomic<bool> m_flush_failed{false};
};

}  // namespace hamal
