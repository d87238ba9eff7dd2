// One request, waited for: for callers that have nothing else to do meanwhile.
#pragma once
#include <chrono>
#include <exception>
#include <utility>

#include "hamal/block/block_reader.hpp"

namespace hamal {

/// Submit with it as the completion, then wait(). Used by the queue's thread.
class AwaitedIo final : public IoCompletion {
 public:
  void io_done(std::exception_ptr error) noexcept override {
    m_error = std::move(error);
    m_pending = false;
  }
  /// Drives the queue until the request is done; throws its error.
  void wait(IoQueue& queue) {
    drive(queue, m_pending);
    if (m_error) {
      std::rethrow_exception(m_error);
    }
  }
  /// False when that took longer than `timeout`: the queue must then go before this does.
  bool wait(IoQueue& queue, std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    std::vector<pollfd> fds;
    while (m_pending && std::chrono::steady_clock::now() < deadline) {
      fds.clear();
      queue.add_poll_fds(fds);
      ::poll(fds.data(), fds.size(), 20);
      queue.progress();
    }
    if (m_error) {
      std::rethrow_exception(m_error);
    }
    return !m_pending;
  }

 private:
  bool m_pending = true;
  std::exception_ptr m_error;
};

}  // namespace hamal
