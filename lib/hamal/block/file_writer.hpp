// Writes raw images and block devices.
#pragma once
#include <atomic>

#include "hamal/block/block_writer.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal {

/// Requests complete inside the submitting call. After one failed flush every later one fails too:
/// the kernel may have dropped the pages that it could not write, so only a new FileWriter, and all
/// data written again, is safe.
class FileWriter final : public BlockWriter {
 public:
  /// Whether the size of the file is new, so that its metadata must become durable with the data.
  enum class Metadata { settled, changed };

  /// `fd` is open for reading and writing; `size` is the disk's, which a device may exceed.
  FileWriter(std::string uri, UniqueFd fd, std::uint64_t size, Metadata metadata);

  const std::string& uri() const noexcept override { return m_uri; }
  std::uint64_t size() const noexcept override { return m_size; }
  std::unique_ptr<WriteQueue> open_queue() override;
  unsigned max_queues() const noexcept override;
  std::uint32_t max_request() const noexcept override;
  using BlockWriter::flush;
  void flush(const FlushBounds& bounds) override;
  void start_writeback(std::uint64_t offset, std::uint64_t length) override;

  int fd() const noexcept { return m_fd.get(); }

 private:
  class Queue;
  void write(std::uint64_t offset, std::span<const std::byte> from) const;
  bool copy_from(int source, std::uint64_t offset, std::uint64_t length);
  void zero(std::uint64_t offset, std::uint64_t length);
  void zero_device(std::uint64_t offset, std::uint64_t length);
  void write_zeros(std::uint64_t offset, std::uint64_t length) const;

  /// The best way to make zeros that has not been refused yet.
  enum class ZeroWay { punch_hole, zero_range, device, write };

  std::string m_uri;
  UniqueFd m_fd;
  std::uint64_t m_size;
  std::uint64_t m_sector = 512;
  std::atomic<ZeroWay> m_zero_way;
  std::atomic<bool> m_copies_in_kernel{true};  ///< until the pair of files has refused it
  std::atomic<bool> m_metadata_changed;
  std::atomic<bool> m_flush_failed{false};
};

}  // namespace hamal
