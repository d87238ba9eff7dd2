// Asynchronous block I/O, as one thread sees it.
//
// A queue belongs to one thread. Requests are submitted and complete later inside progress(), or at
// once inside the submitting call (kinds that have no asynchronous form: files). The thread sleeps
// in poll() on the descriptors of all its queues, so that one thread drives a source and a target
// together and data stays in its cache.
#pragma once
#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <utility>
#include <vector>

namespace hamal {

/// Told once per request, from the thread that owns the queue. A null error means success.
class IoCompletion {
 public:
  virtual void io_done(std::exception_ptr error) noexcept = 0;

 protected:
  ~IoCompletion() = default;
};

/// For queues without an asynchronous form: does the work now and tells how it went.
template <typename Work>
void complete_at_once(IoCompletion& done, Work work) {
  std::exception_ptr error;
  try {
    work();
  } catch (...) {
    error = std::current_exception();
  }
  done.io_done(std::move(error));
}

class IoQueue {
 public:
  virtual ~IoQueue() = default;
  /// Appends what to poll for now; nothing for queues that complete inside the submitting call.
  virtual void add_poll_fds(std::vector<pollfd>& fds) const = 0;
  /// Handles what is ready, never blocks. Throws only when the queue is broken altogether;
  /// outstanding requests have been completed with that error first.
  virtual void progress() = 0;
};

/// Reads never change anything and may be repeated.
class ReadQueue : public IoQueue {
 public:
  /// [offset, offset + into.size()) lies inside the disk; `into` and `done` stay valid until
  /// completion.
  virtual void read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done) = 0;
};

/// Writes and zeroes of disjoint ranges may be repeated and reordered; nothing is durable before
/// BlockWriter::flush().
class WriteQueue : public IoQueue {
 public:
  virtual void write(std::uint64_t offset, std::span<const std::byte> from, IoCompletion& done) = 0;
  /// Copies a range of a file (BlockReader::file_descriptor) to the same offset without passing
  /// this process. False, and `done` untouched, when this kind of target or pair cannot: then read
  /// and write.
  virtual bool copy_from(int fd, std::uint64_t offset, std::uint64_t length, IoCompletion& done) {
    static_cast<void>(fd);
    static_cast<void>(offset);
    static_cast<void>(length);
    static_cast<void>(done);
    return false;
  }
  /// Afterwards the range reads as zeros: an operation that guarantees it, or zeros written (design
  /// rule 5).
  virtual void zero(std::uint64_t offset, std::uint64_t length, IoCompletion& done) = 0;
};

}  // namespace hamal
