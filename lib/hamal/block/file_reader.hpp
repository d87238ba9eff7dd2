// Reads raw images and block devices.
#pragma once
#include <atomic>

#include "hamal/block/block_reader.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal {

/// A regular file's size is that of the moment it is opened: one that shrinks later is an error
/// when read, what grows behind it is not seen. Reads complete inside the submitting call.
class FileReader final : public BlockReader {
 public:
  /// Throws Error when the path is neither a regular file nor a block device. `uri` names it in
  /// errors.
  FileReader(std::string uri, const std::string& path);

  const std::string& uri() const noexcept override { return m_uri; }
  std::uint64_t size() const noexcept override { return m_size; }
  std::unique_ptr<ReadQueue> open_queue() override;
  unsigned max_queues() const noexcept override;
  std::uint32_t max_request() const noexcept override;
  std::uint32_t preferred_request() const noexcept override;
  int file_descriptor() const noexcept override { return m_fd.get(); }
  /// By SEEK_DATA and SEEK_HOLE; data for all of it where the file system knows neither (block
  /// devices too). May outlive the reader.
  ExtentSourcePtr allocated() override;

 private:
  std::string m_uri;
  UniqueFd m_fd;
  std::uint64_t m_size = 0;
};

/// The size of what is open on `fd`: a regular file or a block device; Error for anything else.
std::uint64_t file_or_device_size(int fd, const std::string& uri);

}  // namespace hamal
