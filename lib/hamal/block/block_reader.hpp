// A disk that can be read: one implementation per kind (file, nbd …).
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "hamal/block/io_queue.hpp"
#include "hamal/extent/extent.hpp"

namespace hamal {

/// Thread-safe but for destruction. Errors: hamal::Error naming the URI.
class BlockReader {
 public:
  virtual ~BlockReader() = default;
  virtual const std::string& uri() const noexcept = 0;
  /// Bytes.
  virtual std::uint64_t size() const noexcept = 0;
  /// A connection of its own for one thread. Must not outlive the reader.
  virtual std::unique_ptr<ReadQueue> open_queue() = 0;
  /// How many queues may be open at once (1: the server allows one connection).
  virtual unsigned max_queues() const noexcept = 0;
  /// The largest and the best request, bytes.
  virtual std::uint32_t max_request() const noexcept = 0;
  virtual std::uint32_t preferred_request() const noexcept = 0;
  /// A descriptor that reads the same bytes at the same offsets, for copies inside the kernel
  /// (WriteQueue::copy_from); -1 when there is none. Borrowed.
  virtual int file_descriptor() const noexcept { return -1; }
  /// What the source says is allocated: data and zero extents that together cover the disk. A kind
  /// that cannot tell says data for all of it.
  virtual ExtentSourcePtr allocated() = 0;

  /// Synchronous, through a queue of its own; for small things (samples, tests).
  void read(std::uint64_t offset, std::span<std::byte> into);
};

/// Runs one queue until `pending` returns false: the loop of every synchronous caller.
/// Throws what progress() throws.
void drive(IoQueue& queue, const bool& pending);

/// Opens file:, device, nbd and rbd endpoints (these with a cluster attached); others are an
/// Error(usage). Waiting for a server ends
/// when `cancel` (which outlives the reader) is requested.
struct Endpoint;
class CancelToken;
std::unique_ptr<BlockReader> open_block_reader(const Endpoint& endpoint,
                                               const CancelToken* cancel = nullptr);

}  // namespace hamal
