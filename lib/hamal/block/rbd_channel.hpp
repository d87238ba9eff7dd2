// One thread's requests on an RBD image: submits, sleeps, delivers completions in its own thread.
//
// librbd calls back in threads of its own: callbacks only queue the request and wake the owner by
// an eventfd, progress() tells it. Nothing can be taken back from librbd: the destructor waits for
// what is under way, which the timeout of the cluster's section ends.
#pragma once
#include <poll.h>

#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "hamal/block/io_queue.hpp"
#include "hamal/block/rbd_image.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal {

class RbdChannel {
 public:
  explicit RbdChannel(std::shared_ptr<RbdImage> image);
  ~RbdChannel();
  RbdChannel(const RbdChannel&) = delete;
  RbdChannel& operator=(const RbdChannel&) = delete;

  void read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done);
  void write(std::uint64_t offset, std::span<const std::byte> from, IoCompletion& done);
  /// By an operation that guarantees zeros; any length.
  void zero(std::uint64_t offset, std::uint64_t length, IoCompletion& done);
  void flush(IoCompletion& done);

  void add_poll_fds(std::vector<pollfd>& fds) const;
  void progress();

 private:
  enum class Operation { read, write, zero, flush };
  struct Request {
    RbdChannel* channel;
    IoCompletion* done;
    Operation operation;
    std::uint64_t offset;
    std::uint64_t length;
    std::int64_t result;
  };
  static void on_completion(void* completion, void* user);
  template <typename Submit>
  void submit(Operation operation, std::uint64_t offset, std::uint64_t length, IoCompletion& done,
              Submit call);
  void push_ready(Request& request);
  std::exception_ptr failure_of(const Request& request) const;

  std::shared_ptr<RbdImage> m_image;
  UniqueFd m_event;
  std::deque<Request> m_requests;
  std::vector<Request*> m_free;
  std::size_t m_outstanding = 0;
  bool m_delivering = false;

  std::mutex m_ready_mutex;
  std::vector<Request*> m_ready;
  std::vector<Request*> m_taken;
};

/// Adapts a channel to IoQueue.
class RbdChannelQueue final : public IoQueue {
 public:
  explicit RbdChannelQueue(RbdChannel& channel) : m_channel(channel) {}
  void add_poll_fds(std::vector<pollfd>& fds) const override { m_channel.add_poll_fds(fds); }
  void progress() override { m_channel.progress(); }

 private:
  RbdChannel& m_channel;
};

}  // namespace hamal
