// Raw image files: created sparse and private, never resized unless allowed, locked while open.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "hamal/block/file_reader.hpp"
#include "hamal/block/file_writer.hpp"
#include "hamal/target/kinds.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

namespace fs = std::filesystem;

class FileTarget final : public Target {
 public:
  FileTarget(const Endpoint& endpoint, UniqueFd fd, std::uint64_t size, bool created,
             FileWriter::Metadata metadata)
      : m_canonical(canonical_file(endpoint.path)),
        m_created(created),
        m_resized(!created && metadata == FileWriter::Metadata::changed),
        m_writer(endpoint.uri, std::move(fd), size, metadata) {}

  const std::string& canonical() const noexcept override { return m_canonical; }
  bool created() const noexcept override { return m_created; }
  bool resized() const noexcept override { return m_resized; }
  BlockWriter& writer() noexcept override { return m_writer; }
  std::unique_ptr<BlockReader> open_reader() override {
    // By descriptor: the same file even if its name has been given to another.
    return std::make_unique<FileReader>(m_writer.uri(),
                                        "/proc/self/fd/" + std::to_string(m_writer.fd()));
  }

 private:
  std::string m_canonical;
  bool m_created;
  bool m_resized;
  FileWriter m_writer;
};

/// Links that point to nothing yet are followed too: the file will be created behind them.
fs::path resolve(const std::string& path) {
  fs::path at = fs::absolute(path);
  std::error_code error;
  for (int depth = 0; depth < 40 && fs::is_symlink(fs::symlink_status(at, error)); ++depth) {
    const fs::path next = fs::read_symlink(at, error);
    if (error) {
      break;
    }
    at = next.is_absolute() ? next : at.parent_path() / next;
  }
  const fs::path resolved = fs::weakly_canonical(at, error);
  if (error) {
    throw system_error("cannot resolve the path", path, error.value());
  }
  return resolved;
}

void set_size(int fd, std::uint64_t size, const std::string& uri) {
  if (::ftruncate(fd, static_cast<off_t>(size)) != 0) {
    throw system_error("cannot make it " + std::to_string(size) + " bytes long", uri, errno);
  }
}

std::unique_ptr<Target> create(const Endpoint& endpoint, const fs::path& path, std::uint64_t size) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));  // NOLINT
  if (!fd) {
    if (errno == ENOENT) {
      throw Error(ErrorKind::failed, "the directory of the target does not exist", endpoint.uri,
                  "create " + path.parent_path().string() + " first");
    }
    throw system_error("cannot create", endpoint.uri, errno);
  }
  // Not undone when it fails: another run that found the new file has locked it and may write it.
  lock_target(fd.get(), endpoint.uri);
  try {
    set_size(fd.get(), size, endpoint.uri);
    fsync_directory(path.parent_path());
    return std::make_unique<FileTarget>(endpoint, std::move(fd), size, true,
                                        FileWriter::Metadata::changed);
  } catch (...) {
    ::unlink(path.c_str());
    throw;
  }
}

}  // namespace

void refuse_locked(int fd, const std::string& uri) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) {  // NOLINT: variadic
    throw Error(ErrorKind::wrong_target, "the file is in use: another program has locked it", uri,
                "a running machine may use it; shut it down or choose another target");
  }
}

std::string canonical_file(const std::string& path) {
  return "file:" + resolve(path).string();
}

std::unique_ptr<Target> open_file_target(const Endpoint& endpoint, std::uint64_t size,
                                         const TargetOptions& options) {
  const fs::path path = resolve(endpoint.path);
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT && options.create) {
      return create(endpoint, path, size);
    }
    if (errno == ENOENT) {
      throw Error(
          ErrorKind::base_mismatch,
          "the target is gone and what was to be written is only a part of it", endpoint.uri,
          "is its file system mounted? else: hamal-sync checkpoint forget, then a full copy");
    }
    throw system_error("cannot stat", endpoint.uri, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(
        ErrorKind::wrong_target,
        S_ISDIR(status.st_mode) ? "is a directory" : "is neither a regular file nor a block device",
        endpoint.uri, "name the image file itself");
  }
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));  // NOLINT: variadic
  if (!fd) {
    throw system_error("cannot open for writing", endpoint.uri, errno);
  }
  lock_target(fd.get(), endpoint.uri);
  if (::fstat(fd.get(), &status) == 0 && status.st_nlink == 0) {
    throw Error(ErrorKind::busy, "the target was removed while it was opened", endpoint.uri,
                "another run gave it up; run again");
  }
  refuse_locked(fd.get(), endpoint.uri);
  const std::uint64_t actual = file_or_device_size(fd.get(), endpoint.uri);
  auto metadata = FileWriter::Metadata::settled;
  if (actual != size) {
    if (options.resize == Resize::refuse) {
      throw Error(ErrorKind::wrong_target,
                  "the target has " + std::to_string(actual) + " bytes (" + format_size(actual) +
                      ") and the disk has " + std::to_string(size) + " (" + format_size(size) + ")",
                  endpoint.uri, "--resize makes it as large as the disk; is it the right target?");
    }
    set_size(fd.get(), size, endpoint.uri);
    metadata = FileWriter::Metadata::changed;
  }
  return std::make_unique<FileTarget>(endpoint, std::move(fd), size, false, metadata);
}

}  // namespace hamal
