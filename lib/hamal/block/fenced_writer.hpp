// A writer that submits nothing any more once its owner may not write.
#pragma once
#include <functional>
#include <memory>

#include "hamal/block/block_writer.hpp"

namespace hamal {

/// Asks `fence`, which throws when it is over and is thread-safe, before every write and zero; what
/// was submitted before goes on. Both outlive it, and its queues.
class FencedWriter final : public BlockWriter {
 public:
  FencedWriter(BlockWriter& writer, const std::function<void()>& fence)
      : m_writer(writer), m_fence(fence) {}

  const std::string& uri() const noexcept override { return m_writer.uri(); }
  std::uint64_t size() const noexcept override { return m_writer.size(); }
  std::unique_ptr<WriteQueue> open_queue() override;
  unsigned max_queues() const noexcept override { return m_writer.max_queues(); }
  std::uint32_t max_request() const noexcept override { return m_writer.max_request(); }
  using BlockWriter::flush;
  void flush(const FlushBounds& bounds) override { m_writer.flush(bounds); }
  void start_writeback(std::uint64_t offset, std::uint64_t length) override {
    m_writer.start_writeback(offset, length);
  }

 private:
  BlockWriter& m_writer;
  const std::function<void()>& m_fence;
};

}  // namespace hamal
