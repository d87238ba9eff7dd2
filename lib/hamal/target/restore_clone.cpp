#include "hamal/target/restore_clone.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "hamal/target/kinds.hpp"
#include "hamal/util/clone_file.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

namespace fs = std::filesystem;

constexpr const char* k_attribute = "user.hamal.restore";
constexpr std::string_view k_file = "file:";

void flush_file(int fd, const fs::path& path) {
  if (::fsync(fd) != 0) {
    throw system_error("cannot flush", path.string(), errno);
  }
}

bool is_there(const fs::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

}  // namespace

RestoreClone::RestoreClone(const std::string& canonical, const std::string& installation)
    : m_owner(installation + " " + canonical + " ") {
  if (canonical.starts_with(k_file)) {
    m_target = canonical.substr(k_file.size());
    m_path = m_target.string() + ".hamal-restore";
  }
}

std::string RestoreClone::make(const ClonedDisk& of) const {
  if (m_path.empty()) {
    return "the target is no file";
  }
  try {
    if (!remove()) {
      return "a file that is not hamal's is in the way: " + m_path.string();
    }
    const UniqueFd from = open_file(m_target, O_RDONLY);
    const UniqueFd to(::open(m_path.parent_path().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC,
                             0600));  // NOLINT: variadic
    int error = to ? clone_file(from.get(), to.get()) : errno;
    const std::string tag = tag_of(of);
    if (error == 0 && ::fsetxattr(to.get(), k_attribute, tag.data(), tag.size(), 0) != 0) {
      error = errno;
    }
    if (means_no_clones(error) || error == EISDIR) {  // EISDIR: without O_TMPFILE
      return "the file system cannot clone files (XFS and btrfs can)";
    }
    if (error != 0) {
      throw system_error("cannot clone", m_path.string(), error);
    }
    flush_file(to.get(), m_path);
    const std::string unnamed = "/proc/self/fd/" + std::to_string(to.get());
    if (::linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, m_path.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      throw system_error("cannot name the clone", m_path.string(), errno);
    }
    flush_file(to.get(), m_path);  // the link, where the directory alone does not carry it
    fsync_directory(m_path.parent_path());
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

std::string RestoreClone::tag() const {
  std::array<char, 8192> value{};
  const ssize_t size = ::lgetxattr(m_path.c_str(), k_attribute, value.data(), value.size());
  return size > 0 ? std::string(value.data(), static_cast<std::size_t>(size)) : std::string();
}

std::string RestoreClone::tag_of(const ClonedDisk& of) const {
  return m_owner + std::to_string(of.generation) + " " + of.disk;
}

bool RestoreClone::holds(const ClonedDisk& of) const {
  return !m_path.empty() && tag() == tag_of(of);
}

void RestoreClone::put_back(const std::string& uri) const {
  const UniqueFd from = open_file(m_path, O_RDONLY);
  const UniqueFd to = open_file(m_target, O_RDWR | O_CREAT | O_NONBLOCK, 0600);
  lock_target(to.get(), uri);
  refuse_locked(to.get(), uri);
  struct stat status {};
  if (::fstat(from.get(), &status) != 0) {
    throw system_error("cannot stat", m_path.string(), errno);
  }
  // First, because a clone that ends inside a block cannot be put into a longer file.
  if (::ftruncate(to.get(), status.st_size) != 0) {
    throw system_error("cannot give it the size it had", uri, errno);
  }
  if (const int error = clone_file(from.get(), to.get()); error != 0) {
    throw system_error("cannot put the clone back", uri, error);
  }
  flush_file(to.get(), m_target);
  fsync_directory(m_target.parent_path());
}

bool RestoreClone::remove() const {
  if (m_path.empty() || !is_there(m_path)) {
    return true;
  }
  if (!tag().starts_with(m_owner)) {
    return false;
  }
  if (::unlink(m_path.c_str()) != 0 && errno != ENOENT) {
    throw system_error("cannot remove", m_path.string(), errno);
  }
  fsync_directory(m_path.parent_path());
  return true;
}

}  // namespace hamal
