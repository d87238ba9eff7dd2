#include "hamal/sync/buffer_pool.hpp"

#include <sys/mman.h>

#include <cerrno>

#include "hamal/util/error.hpp"

namespace hamal {

BufferPool::BufferPool(std::size_t count, std::size_t size) : m_count(count), m_size(size) {
  void* memory = ::mmap(nullptr, count * size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {  // NOLINT: the macro's cast is the system's
    throw system_error("cannot get " + std::to_string(count * size) + " bytes for buffers",
                       "memory", errno);
  }
  // One fault per 2 MiB instead of one per 4 KiB where the kernel can.
  ::madvise(memory, count * size, MADV_HUGEPAGE);
  m_memory = static_cast<std::byte*>(memory);
}

BufferPool::~BufferPool() {
  ::munmap(m_memory, m_count * m_size);
}

}  // namespace hamal
