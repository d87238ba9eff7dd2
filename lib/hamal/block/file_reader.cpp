// Reading raw images and block devices.
#include "hamal/block/file_reader.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

constexpr unsigned k_max_queues = 64;
constexpr std::uint32_t k_max_request = 32U << 20;
constexpr std::uint32_t k_preferred_request = 256U << 10;

/// A file description of its own where that is possible: read-ahead is kept per description, and
/// several readers of one would look like random access.
UniqueFd reopen(int fd, const std::string& uri) {
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  UniqueFd own(::open(link.c_str(), O_RDONLY | O_CLOEXEC));  // NOLINT: open is variadic
  if (!own) {
    own = UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));  // NOLINT: fcntl is variadic
  }
  if (!own) {
    throw system_error("cannot open once more", uri, errno);
  }
  return own;
}

class FileReadQueue final : public ReadQueue {
 public:
  FileReadQueue(std::string uri, UniqueFd fd) : m_uri(std::move(uri)), m_fd(std::move(fd)) {}

  void add_poll_fds(std::vector<pollfd>&) const override {}
  void progress() override {}
  void read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done) override {
    complete_at_once(done, [&] { pread_all(m_fd.get(), into, offset, m_uri); });
  }

 private:
  std::string m_uri;
  UniqueFd m_fd;
};

class FileExtents final : public ExtentSource {
 public:
  FileExtents(std::string uri, UniqueFd fd, std::uint64_t size)
      : m_uri(std::move(uri)), m_fd(std::move(fd)), m_size(size) {}

  bool next(std::vector<Extent>& window) override {
    window.clear();
    while (m_position < m_size && window.size() + 2 <= k_window_extents) {
      const std::uint64_t data = seek(SEEK_DATA, m_position, m_size);
      if (data > m_position) {
        window.push_back({m_position, data - m_position, ExtentKind::zero});
      }
      if (data < m_size) {
        const std::uint64_t hole = seek(SEEK_HOLE, data, m_size);
        if (hole <= data) {
          throw Error(ErrorKind::failed, "the file changes while its holes are looked for", m_uri,
                      "an image must be still: take a snapshot, or stop what writes to it");
        }
        window.push_back({data, hole - data, ExtentKind::data});
        m_position = hole;
      } else {
        m_position = m_size;
      }
    }
    return !window.empty();
  }

 private:
  /// Where the next data or hole begins, at most `end`.
  std::uint64_t seek(int whence, std::uint64_t from, std::uint64_t end) {
    if (!m_knows_holes) {
      return whence == SEEK_DATA ? from : end;
    }
    const off_t found = ::lseek(m_fd.get(), static_cast<off_t>(from), whence);
    if (found >= 0) {
      return std::min(static_cast<std::uint64_t>(found), end);
    }
    if (errno == ENXIO) {
      return end;
    }
    if (errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS) {
      m_knows_holes = false;
      return whence == SEEK_DATA ? from : end;
    }
    throw system_error("cannot look for holes", m_uri, errno);
  }

  std::string m_uri;
  UniqueFd m_fd;
  std::uint64_t m_size;
  std::uint64_t m_position = 0;
  bool m_knows_holes = true;
};

}  // namespace

std::uint64_t file_or_device_size(int fd, const std::string& uri) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) {
    throw system_error("cannot stat", uri, errno);
  }
  if (S_ISREG(status.st_mode)) {
    return static_cast<std::uint64_t>(status.st_size);
  }
  if (S_ISBLK(status.st_mode)) {
    std::uint64_t size = 0;
    if (::ioctl(fd, BLKGETSIZE64, &size) != 0) {  // NOLINT: ioctl is variadic
      throw system_error("cannot ask for the size of the device", uri, errno);
    }
    return size;
  }
  throw Error(ErrorKind::usage,
              S_ISDIR(status.st_mode) ? "is a directory, not a disk image"
                                      : "is neither a regular file nor a block device",
              uri, "name a raw image or a block device");
}

FileReader::FileReader(std::string uri, const std::string& path) : m_uri(std::move(uri)) {
  // O_NONBLOCK: opening a FIFO would wait for a writer.
  m_fd = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // NOLINT: variadic
  if (!m_fd) {
    throw system_error("cannot open", m_uri, errno);
  }
  m_size = file_or_device_size(m_fd.get(), m_uri);
}

std::unique_ptr<ReadQueue> FileReader::open_queue() {
  UniqueFd fd = reopen(m_fd.get(), m_uri);
  ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return std::make_unique<FileReadQueue>(m_uri, std::move(fd));
}

unsigned FileReader::max_queues() const noexcept {
  return k_max_queues;
}

std::uint32_t FileReader::max_request() const noexcept {
  return k_max_request;
}

std::uint32_t FileReader::preferred_request() const noexcept {
  return k_preferred_request;
}

ExtentSourcePtr FileReader::allocated() {
  return std::make_unique<FileExtents>(m_uri, reopen(m_fd.get(), m_uri), m_size);
}

}  // namespace hamal
