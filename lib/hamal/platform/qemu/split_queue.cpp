// Counts the parts of each request.
#include "hamal/platform/qemu/split_queue.hpp"

#include <algorithm>
#include <deque>
#include <utility>

namespace hamal::qemu {
namespace {

class SplitQueue;

class Request final : public IoCompletion {
 public:
  explicit Request(SplitQueue& queue) : m_queue(queue) {}
  void begin(IoCompletion& done) {
    m_done = &done;
    // One for the submission itself: parts may complete inside it.
    m_parts = 1;
    m_error = nullptr;
  }
  void add_part() { ++m_parts; }
  void io_done(std::exception_ptr error) noexcept override;

 private:
  SplitQueue& m_queue;
  IoCompletion* m_done = nullptr;
  std::size_t m_parts = 0;
  std::exception_ptr m_error;
};

class SplitQueue final : public ReadQueue {
 public:
  SplitQueue(std::unique_ptr<ReadQueue> inner, std::uint64_t boundary)
      : m_inner(std::move(inner)), m_boundary(boundary) {}

  void add_poll_fds(std::vector<pollfd>& fds) const override { m_inner->add_poll_fds(fds); }
  void progress() override { m_inner->progress(); }

  void read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done) override {
    const std::uint64_t room = m_boundary - offset % m_boundary;
    if (into.size() <= room) {
      m_inner->read(offset, into, done);
      return;
    }
    Request& request = take();
    request.begin(done);
    try {
      while (!into.empty()) {
        const auto part = static_cast<std::size_t>(
            std::min<std::uint64_t>(into.size(), m_boundary - offset % m_boundary));
        request.add_part();
        m_inner->read(offset, into.first(part), request);
        offset += part;
        into = into.subspan(part);
      }
    } catch (...) {
      // The part that could not be submitted; those before it complete as they will.
      request.io_done(std::current_exception());
    }
    request.io_done(nullptr);
  }

  void give_back(Request& request) noexcept { m_free.push_back(&request); }

 private:
  Request& take() {
    if (m_free.empty()) {
      m_requests.emplace_back(*this);
      m_free.reserve(m_requests.size());
      return m_requests.back();
    }
    Request& request = *m_free.back();
    m_free.pop_back();
    return request;
  }

  // A deque never moves its elements: the inner queue holds references to them.
  std::deque<Request> m_requests;
  std::vector<Request*> m_free;
  std::unique_ptr<ReadQueue> m_inner;
  std::uint64_t m_boundary;
};

void Request::io_done(std::exception_ptr error) noexcept {
  if (error != nullptr && m_error == nullptr) {
    m_error = std::move(error);
  }
  if (--m_parts > 0) {
    return;
  }
  IoCompletion& done = *m_done;
  const std::exception_ptr result = std::exchange(m_error, nullptr);
  // Free before it completes: the completion may submit the next request at once.
  m_queue.give_back(*this);
  done.io_done(result);
}

}  // namespace

std::unique_ptr<ReadQueue> split_queue(std::unique_ptr<ReadQueue> inner, std::uint64_t boundary) {
  return std::make_unique<SplitQueue>(std::move(inner), boundary);
}

}  // namespace hamal::qemu
