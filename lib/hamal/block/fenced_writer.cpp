#include "hamal/block/fenced_writer.hpp"

namespace hamal {
namespace {

class FencedQueue final : public WriteQueue {
 public:
  FencedQueue(std::unique_ptr<WriteQueue> queue, const std::function<void()>& fence)
      : m_queue(std::move(queue)), m_fence(fence) {}

  void add_poll_fds(std::vector<pollfd>& fds) const override { m_queue->add_poll_fds(fds); }
  void progress() override { m_queue->progress(); }
  void write(std::uint64_t offset, std::span<const std::byte> from, IoCompletion& done) override {
    m_fence();
    m_queue->write(offset, from, done);
  }
  bool copy_from(int fd, std::uint64_t offset, std::uint64_t length, IoCompletion& done) override {
    m_fence();
    return m_queue->copy_from(fd, offset, length, done);
  }
  void zero(std::uint64_t offset, std::uint64_t length, IoCompletion& done) override {
    m_fence();
    m_queue->zero(offset, length, done);
  }

 private:
  std::unique_ptr<WriteQueue> m_queue;
  const std::function<void()>& m_fence;
};

}  // namespace

std::unique_ptr<WriteQueue> FencedWriter::open_queue() {
  return std::make_unique<FencedQueue>(m_writer.open_queue(), m_fence);
}

}  // namespace hamal
