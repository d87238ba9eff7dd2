// A disk that can be written: one implementation per kind (file, device, nbd).
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "hamal/block/io_queue.hpp"
#include "hamal/util/cancel.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

/// How long a flush may take. One that is given up has failed.
struct FlushBounds {
  std::chrono::milliseconds timeout{0};  ///< then it is a permanent error; 0: no bound
  /// A server that does not answer for so long has gone away (transient); 0: no bound. Not for
  /// files: the kernel cannot be asked to give up.
  std::chrono::milliseconds outage{0};
  const CancelToken* cancel = nullptr;  ///< asked while a server is waited for
};

/// Thread-safe but for destruction. Errors: hamal::Error naming the URI.
class BlockWriter {
 public:
  virtual ~BlockWriter() = default;
  virtual const std::string& uri() const noexcept = 0;
  virtual std::uint64_t size() const noexcept = 0;
  virtual std::unique_ptr<WriteQueue> open_queue() = 0;
  virtual unsigned max_queues() const noexcept = 0;
  virtual std::uint32_t max_request() const noexcept = 0;
  /// Everything whose completion was seen before the call is durable after it; covers all queues. A
  /// failed flush says nothing about any of it: the caller must write it all again (design rule 1).
  virtual void flush(const FlushBounds& bounds) = 0;
  void flush() { flush(FlushBounds{}); }
  /// Starts writing out what has been written in the range, without waiting; a hint that makes
  /// flush() short.
  virtual void start_writeback(std::uint64_t offset, std::uint64_t length) {
    static_cast<void>(offset);
    static_cast<void>(length);
  }
};

/// The error of a flush that took too long.
Error flush_too_slow(const std::string& uri, std::chrono::milliseconds timeout);

}  // namespace hamal
