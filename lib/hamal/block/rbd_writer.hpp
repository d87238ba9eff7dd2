// Writes RBD images.
#pragma once
#include <atomic>
#include <memory>
#include <string>

#include "hamal/block/block_reader.hpp"
#include "hamal/block/block_writer.hpp"

namespace hamal {

class RbdImage;

/// Zeros are rbd_write_zeroes, which guarantees them: a discard may leave what fills no block.
///
/// The cache of librbd is off, so what is acknowledged is on all OSDs; flush() waits for what is
/// under way. After one failed flush every later one fails too.
class RbdWriter final : public BlockWriter {
 public:
  /// `image` is open for writing.
  explicit RbdWriter(std::shared_ptr<RbdImage> image);
  ~RbdWriter() override;

  const std::string& uri() const noexcept override;
  std::uint64_t size() const noexcept override;
  std::unique_ptr<WriteQueue> open_queue() override;
  unsigned max_queues() const noexcept override;
  std::uint32_t max_request() const noexcept override;
  using BlockWriter::flush;
  void flush(const FlushBounds& bounds) override;
  /// May outlive the writer.
  std::unique_ptr<BlockReader> open_reader();

 private:
  std::shared_ptr<RbdImage> m_image;
  std::atomic<bool> m_flush_failed{false};
};

}  // namespace hamal
