// Writing raw images and block devices: zeros that are zeros, flushes that are believed once.
#include "hamal/block/file_writer.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

constexpr unsigned k_max_queues = 64;
constexpr std::uint32_t k_max_request = 32U << 20;
/// In .bss: costs no file and no pages until it is used.
constexpr std::array<std::byte, 1U << 20> k_zeros{};

bool is_unsupported(int errno_value) {
  return errno_value == EOPNOTSUPP || errno_value == ENOSYS || errno_value == EINVAL ||
         errno_value == ENODEV || errno_value == ENOTTY;
}

// Nothing can interrupt a flush that the storage does not answer: it is left to a thread of its
// own, on a descriptor of its own. nullopt when it took too long.
std::optional<int> within(std::chrono::milliseconds timeout, int fd, const std::string& uri,
                          const std::function<int(int)>& flush) {
  const auto own = std::make_shared<UniqueFd>(::fcntl(fd, F_DUPFD_CLOEXEC, 0));  // NOLINT: variadic
  if (!*own) {
    throw system_error("cannot open once more", uri, errno);
  }
  std::packaged_task<int()> task([own, flush] { return flush(own->get()); });
  auto result = task.get_future();
  std::thread(std::move(task)).detach();
  if (result.wait_for(timeout) != std::future_status::ready) {
    return std::nullopt;
  }
  return result.get();
}

int fallocate_whole(int fd, int mode, std::uint64_t offset, std::uint64_t length) {
  int result = -1;
  do {
    result = ::fallocate(fd, mode, static_cast<off_t>(offset), static_cast<off_t>(length));
  } while (result != 0 && errno == EINTR);
  return result;
}

}  // namespace

class FileWriter::Queue final : public WriteQueue {
 public:
  explicit Queue(FileWriter& writer) : m_writer(writer) {}

  void add_poll_fds(std::vector<pollfd>&) const override {}
  void progress() override {}
  void write(std::uint64_t offset, std::span<const std::byte> from, IoCompletion& done) override {
    complete_at_once(done, [&] { m_writer.write(offset, from); });
  }
  void zero(std::uint64_t offset, std::uint64_t length, IoCompletion& done) override {
    complete_at_once(done, [&] { m_writer.zero(offset, length); });
  }
  bool copy_from(int fd, std::uint64_t offset, std::uint64_t length, IoCompletion& done) override {
    if (!m_writer.copy_from(fd, offset, length)) {
      return false;
    }
    done.io_done(nullptr);
    return true;
  }

 private:
  FileWriter& m_writer;
};

FileWriter::FileWriter(std::string uri, UniqueFd fd, std::uint64_t size, Metadata metadata)
    : m_uri(std::move(uri)),
      m_fd(std::move(fd)),
      m_size(size),
      m_zero_way(ZeroWay::punch_hole),
      m_metadata_changed(metadata == Metadata::changed) {
  struct stat status {};
  if (::fstat(m_fd.get(), &status) != 0) {
    throw system_error("cannot stat", m_uri, errno);
  }
  if (S_ISBLK(status.st_mode)) {
    m_zero_way = ZeroWay::device;
    int sector = 0;
    if (::ioctl(m_fd.get(), BLKSSZGET, &sector) == 0 && sector > 0) {  // NOLINT: variadic
      m_sector = static_cast<std::uint64_t>(sector);
    }
  }
}

std::unique_ptr<WriteQueue> FileWriter::open_queue() {
  return std::make_unique<Queue>(*this);
}

unsigned FileWriter::max_queues() const noexcept {
  return k_max_queues;
}

std::uint32_t FileWriter::max_request() const noexcept {
  return k_max_request;
}

void FileWriter::write(std::uint64_t offset, std::span<const std::byte> from) const {
  // A file would grow silently, a larger device lose its tail.
  if (offset > m_size || from.size() > m_size - offset) {
    throw Error(ErrorKind::failed, "a write beyond the end of the disk was refused", m_uri);
  }
  pwrite_all(m_fd.get(), from, offset, m_uri);
}

// False after any failure, also of a part: reading and writing the range again says which side it
// was.
bool FileWriter::copy_from(int source, std::uint64_t offset, std::uint64_t length) {
  if (!m_copies_in_kernel || offset > m_size || length > m_size - offset) {
    return false;
  }
  auto from = static_cast<off_t>(offset);
  auto to = static_cast<off_t>(offset);
  while (length > 0) {
    const ssize_t copied = ::copy_file_range(source, &from, m_fd.get(), &to, length, 0);
    if (copied <= 0) {
      if (copied < 0 && errno == EINTR) {
        continue;
      }
      m_copies_in_kernel = copied == 0 || (!is_unsupported(errno) && errno != EXDEV);
      return false;
    }
    length -= static_cast<std::uint64_t>(copied);
  }
  return true;
}

void FileWriter::zero(std::uint64_t offset, std::uint64_t length) {
  if (offset > m_size || length > m_size - offset) {
    throw Error(ErrorKind::failed, "zeros beyond the end of the disk were refused", m_uri);
  }
  if (length == 0) {
    return;
  }
  if (m_zero_way == ZeroWay::punch_hole) {
    if (fallocate_whole(m_fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) ==
        0) {
      return;
    }
    if (!is_unsupported(errno)) {
      throw system_error("cannot punch a hole at offset " + std::to_string(offset), m_uri, errno);
    }
    m_zero_way = ZeroWay::zero_range;
  }
  if (m_zero_way == ZeroWay::zero_range) {
    if (fallocate_whole(m_fd.get(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length) ==
        0) {
      return;
    }
    if (!is_unsupported(errno)) {
      throw system_error("cannot zero at offset " + std::to_string(offset), m_uri, errno);
    }
    m_zero_way = ZeroWay::write;
  }
  if (m_zero_way == ZeroWay::device) {
    zero_device(offset, length);
  } else {
    write_zeros(offset, length);
  }
}

void FileWriter::zero_device(std::uint64_t offset, std::uint64_t length) {
  const std::uint64_t end = offset + length;
  const std::uint64_t first = (offset + m_sector - 1) / m_sector * m_sector;
  const std::uint64_t last = end / m_sector * m_sector;
  if (first >= last) {
    write_zeros(offset, length);
    return;
  }
  std::array<std::uint64_t, 2> range{first, last - first};
  int result = -1;
  do {
    result = ::ioctl(m_fd.get(), BLKZEROOUT, range.data());  // NOLINT: ioctl is variadic
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    if (!is_unsupported(errno)) {
      throw system_error("cannot zero at offset " + std::to_string(first), m_uri, errno);
    }
    m_zero_way = ZeroWay::write;
    write_zeros(offset, length);
    return;
  }
  write_zeros(offset, first - offset);
  write_zeros(last, end - last);
}

void FileWriter::write_zeros(std::uint64_t offset, std::uint64_t length) const {
  while (length > 0) {
    const std::size_t part = std::min<std::size_t>(length, k_zeros.size());
    pwrite_all(m_fd.get(), std::span(k_zeros).first(part), offset, m_uri);
    offset += part;
    length -= part;
  }
}

void FileWriter::flush(const FlushBounds& bounds) {
  if (m_flush_failed) {
    throw Error(ErrorKind::failed, "an earlier flush failed", m_uri,
                "what was written since the last good flush must be written again");
  }
  const bool metadata = m_metadata_changed;
  const auto flush_it = [metadata](int fd) {
    return (metadata ? ::fsync(fd) : ::fdatasync(fd)) == 0 ? 0 : errno;
  };
  const std::optional<int> error = bounds.timeout.count() == 0
                                       ? flush_it(m_fd.get())
                                       : within(bounds.timeout, m_fd.get(), m_uri, flush_it);
  if (error != 0) {
    m_flush_failed = true;
    if (!error) {
      throw flush_too_slow(m_uri, bounds.timeout);
    }
    throw system_error("cannot flush", m_uri, *error);
  }
  m_metadata_changed = false;
}

void FileWriter::start_writeback(std::uint64_t offset, std::uint64_t length) {
  ::sync_file_range(m_fd.get(), static_cast<off_t>(offset), static_cast<off_t>(length),
                    SYNC_FILE_RANGE_WRITE);
}

}  // namespace hamal
