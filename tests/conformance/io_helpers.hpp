// Driving queues synchronously in tests.
#pragma once
#include <exception>
#include <span>
#include <vector>

#include "hamal/block/block_reader.hpp"
#include "hamal/block/block_writer.hpp"

namespace hamal::testing {

class Waiter final : public IoCompletion {
 public:
  void io_done(std::exception_ptr failure) noexcept override {
    error = failure;
    pending = false;
    ++told;
  }
  void wait(IoQueue& queue) {
    drive(queue, pending);
    if (error) {
      std::rethrow_exception(error);
    }
  }
  bool pending = true;
  int told = 0;
  std::exception_ptr error;
};

inline void write(WriteQueue& queue, std::uint64_t offset, std::span<const std::byte> from) {
  Waiter waiter;
  queue.write(offset, from, waiter);
  waiter.wait(queue);
}

inline void zero(WriteQueue& queue, std::uint64_t offset, std::uint64_t length) {
  Waiter waiter;
  queue.zero(offset, length, waiter);
  waiter.wait(queue);
}

inline std::vector<std::byte> read_all(BlockReader& reader) {
  std::vector<std::byte> content(reader.size());
  reader.read(0, content);
  return content;
}

inline std::vector<Extent> all_extents(ExtentSource& source) {
  std::vector<Extent> all;
  std::vector<Extent> window;
  while (source.next(window)) {
    all.insert(all.end(), window.begin(), window.end());
  }
  return all;
}

}  // namespace hamal::testing
