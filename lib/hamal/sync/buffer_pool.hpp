// The memory of one worker: page-aligned buffers of one size in one mapping.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace hamal {

/// Pages are touched when first used, so a worker with little to do costs little. Not thread-safe.
class BufferPool {
 public:
  /// Throws Error when the memory cannot be had. `size` is a multiple of 4096.
  BufferPool(std::size_t count, std::size_t size);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  std::span<std::byte> buffer(std::size_t index) const noexcept {
    return {m_memory + index * m_size, m_size};
  }

 private:
  std::size_t m_count;
  std::size_t m_size;
  std::byte* m_memory;
};

}  // namespace hamal
