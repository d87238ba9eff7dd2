// One thread's requests on an NBD connection: submits, sleeps, delivers completions in its own
// thread.
//
// libnbd calls back under its lock, where no call into it is allowed, and perhaps from another
// thread: callbacks only queue the request, deliver() tells the owner. Requests come from a free
// list, so that none allocates.
#pragma once
#include <poll.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "hamal/block/io_queue.hpp"
#include "hamal/block/nbd_connection.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal {

/// What one block_status request said, per context in the order of `names`.
struct NbdStatusReply {
  struct Entry {
    std::uint64_t length;
    std::uint32_t flags;
  };
  std::vector<std::string> names;
  std::vector<std::vector<Entry>> entries;
  std::string fault;  ///< what was wrong with the reply
};

class NbdChannel {
 public:
  explicit NbdChannel(std::shared_ptr<NbdConnection> connection);
  /// Takes back what is outstanding: waits up to half a minute, then cuts the connection; at once
  /// when the run is cancelled.
  ~NbdChannel();
  NbdChannel(const NbdChannel&) = delete;
  NbdChannel& operator=(const NbdChannel&) = delete;

  NbdConnection& connection() const noexcept { return *m_connection; }

  /// Aligned to min_request() and not longer than max_request().
  void read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done);
  void write(std::uint64_t offset, std::span<const std::byte> from, IoCompletion& done);
  /// Below 4 GiB.
  void zero(std::uint64_t offset, std::uint64_t length, IoCompletion& done);
  void flush(IoCompletion& done);
  void block_status(std::uint64_t offset, std::uint64_t length, NbdStatusReply& reply,
                    IoCompletion& done);
  /// Completes a request with an error without sending anything.
  void fail(IoCompletion& done, std::exception_ptr error);

  void add_poll_fds(std::vector<pollfd>& fds) const;
  /// When the run is cancelled the connection is cut and the token's error thrown.
  void progress();

  /// Any thread.
  void wake();

  /// Marks the channel whose thread runs libnbd: what completes for it needs no wake-up.
  class Driving {
   public:
    explicit Driving(NbdChannel& channel) noexcept;
    ~Driving();
    Driving(const Driving&) = delete;
    Driving& operator=(const Driving&) = delete;

   private:
    const NbdChannel* m_before;
  };

 private:
  enum class Operation { read, write, zero, flush, block_status };
  struct Request {
    NbdChannel* channel;
    IoCompletion* done;
    Operation operation;
    std::uint64_t offset;
    std::uint64_t length;
    int error;
    std::exception_ptr failure;
  };
  static int on_completion(void* user, int* error);
  Request& take(Operation operation, std::uint64_t offset, std::uint64_t length,
                IoCompletion& done);
  void submitted(Request& request, std::int64_t cookie);
  void push_ready(Request& request);
  void deliver();
  std::exception_ptr failure_of(const Request& request) const;

  std::shared_ptr<NbdConnection> m_connection;
  UniqueFd m_event;  ///< only on shared connections
  std::mutex m_wake_mutex;
  std::atomic<bool> m_woken{false};  ///< m_event is readable
  std::deque<Request> m_requests;
  std::vector<Request*> m_free;
  std::size_t m_outstanding = 0;
  bool m_delivering = false;

  std::mutex m_ready_mutex;
  std::vector<Request*> m_ready;
  std::vector<Request*> m_taken;
};

/// Adapts a channel to IoQueue for drive().
class NbdChannelQueue final : public IoQueue {
 public:
  explicit NbdChannelQueue(NbdChannel& channel) : m_channel(channel) {}
  void add_poll_fds(std::vector<pollfd>& fds) const override { m_channel.add_poll_fds(fds); }
  void progress() override { m_channel.progress(); }

 private:
  NbdChannel& m_channel;
};

}  // namespace hamal
