#include "hamal/util/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "hamal/util/error.hpp"

namespace hamal {

UniqueFd open_file(const std::filesystem::path& path, int flags, unsigned mode) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));  // NOLINT: open is variadic
  if (!fd) {
    throw system_error("cannot open", path.string(), errno);
  }
  return fd;
}

std::string read_all(int fd, const std::string& name, std::uint64_t limit) {
  std::string content;
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      throw system_error("cannot read", name, errno);
    }
    if (got == 0) {
      return content;
    }
    content.append(buffer, static_cast<std::size_t>(got));
    if (content.size() > limit) {
      throw Error(ErrorKind::failed, "larger than " + std::to_string(limit) + " bytes", name);
    }
  }
}

std::string read_file(const std::filesystem::path& path, std::uint64_t limit) {
  const UniqueFd fd = open_file(path, O_RDONLY);
  return read_all(fd.get(), path.string(), limit);
}

void write_all(int fd, std::string_view bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0) {
      if (errno == EINTR) {
        continue;
      }
      throw system_error("cannot write", name, errno);
    }
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content,
                           unsigned mode) {
  const std::filesystem::path temporary = path.string() + ".tmp." + std::to_string(::getpid());
  try {
    const UniqueFd fd = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    write_all(fd.get(), content, temporary.string());
    if (::fchmod(fd.get(), mode) != 0) {
      throw system_error("cannot set the mode", temporary.string(), errno);
    }
    if (::fsync(fd.get()) != 0) {
      throw system_error("cannot flush", temporary.string(), errno);
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      throw system_error("cannot rename into place", path.string(), errno);
    }
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  fsync_directory(path.parent_path());
}

void pread_all(int fd, std::span<std::byte> into, std::uint64_t offset, const std::string& name) {
  while (!into.empty()) {
    const ssize_t got = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      throw system_error("cannot read at offset " + std::to_string(offset), name, errno);
    }
    if (got == 0) {
      throw Error(ErrorKind::failed,
                  "ends at offset " + std::to_string(offset) + ", before the end of the disk", name,
                  "it was truncated under the run");
    }
    into = into.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

void pwrite_all(int fd, std::span<const std::byte> from, std::uint64_t offset,
                const std::string& name) {
  while (!from.empty()) {
    const ssize_t put = ::pwrite(fd, from.data(), from.size(), static_cast<off_t>(offset));
    if (put < 0) {
      if (errno == EINTR) {
        continue;
      }
      throw system_error("cannot write at offset " + std::to_string(offset), name, errno);
    }
    from = from.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
}

void make_private_directories(const std::filesystem::path& path) {
  if (path.empty() || std::filesystem::is_directory(path)) {
    return;
  }
  make_private_directories(path.parent_path());
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    throw system_error("cannot create the directory", path.string(), errno);
  }
}

void fsync_directory(const std::filesystem::path& path) {
  const std::filesystem::path directory = path.empty() ? std::filesystem::path(".") : path;
  const UniqueFd fd = open_file(directory, O_RDONLY | O_DIRECTORY);
  if (::fsync(fd.get()) != 0) {
    throw system_error("cannot flush the directory", directory.string(), errno);
  }
}

}  // namespace hamal
