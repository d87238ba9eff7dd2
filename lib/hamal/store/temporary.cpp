#include "hamal/store/temporary.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "hamal/store/directory_errors.hpp"
#include "hamal/util/random_id.hpp"

namespace hamal {
namespace {

constexpr std::time_t k_young = 3600;

void collect(const std::filesystem::path& path, std::time_t now) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_mtime > now - k_young) {
    return;
  }
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));  // NOLINT: variadic
  if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
    ::unlink(path.c_str());
  }
}

}  // namespace

// Names are never used twice, so that what a collector looked at is what it removes.
Temporary::Temporary(const std::filesystem::path& folder)
    : m_path((folder / random_hex(32)).string()),
      // NOLINTNEXTLINE: variadic
      m_fd(::open(m_path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) {
  if (!m_fd) {
    throw directory_error("cannot create the file", m_path, errno);
  }
  // Without locks nobody collects either.
  [[maybe_unused]] const int ignored = ::flock(m_fd.get(), LOCK_EX | LOCK_NB);
}

Temporary::~Temporary() {
  if (!m_path.empty()) {
    ::unlink(m_path.c_str());
  }
}

void collect_stale_temporaries(const std::filesystem::path& folder) noexcept {
  try {
    const Temporary clock(folder);
    struct stat status {};
    if (::fstat(clock.fd(), &status) != 0) {
      return;
    }
    std::error_code error;
    for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
      collect(entry->path(), status.st_mtime);
    }
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): see the header
  }
}

}  // namespace hamal
