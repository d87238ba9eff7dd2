#include "hamal/util/file_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/text.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds k_poll{100};

Error busy(const std::filesystem::path& path, const std::string& what, milliseconds waited) {
  std::string holder = read_lock_holder(path);
  if (holder.empty()) {
    holder = "another process";
  }
  std::string problem = "busy: held by " + holder;
  if (waited.count() > 0) {
    problem += fmt::format(", still after {:.1f} s", static_cast<double>(waited.count()) / 1000);
  }
  return {ErrorKind::busy, std::move(problem), what,
          "let it finish, or wait for it with --wait=SECONDS; the lock is " + path.string()};
}

void write_holder(int fd, const std::filesystem::path& path, const LockHolder& holder) {
  const std::string text =
      fmt::format("pid={} run={} tool={} since={}\n", ::getpid(), escape_control(holder.run_id),
                  escape_control(holder.tool), rfc3339(system_clock().wall()));
  if (::ftruncate(fd, 0) != 0) {
    throw system_error("cannot truncate", path.string(), errno);
  }
  write_all(fd, text, path.string());
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& path, const std::string& what,
                   const LockHolder& holder, milliseconds wait, const CancelToken& cancel) {
  make_private_directories(path.parent_path());
  UniqueFd fd = open_file(path, O_RDWR | O_CREAT | O_APPEND);
  const auto start = system_clock().steady();
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) {
      continue;
    }
    if (errno != EWOULDBLOCK) {
      throw system_error("cannot lock", path.string(), errno);
    }
    const auto waited = std::chrono::duration_cast<milliseconds>(system_clock().steady() - start);
    if (waited >= wait) {
      throw busy(path, what, waited);
    }
    cancel.sleep_ms(static_cast<int>(std::min(k_poll, wait - waited).count()));
  }
  m_fd = std::move(fd);
  try {
    write_holder(m_fd.get(), path, holder);
  } catch (...) {
    release();
    throw;
  }
}

FileLock::~FileLock() {
  release();
}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  if (this != &other) {
    release();
    m_fd = std::move(other.m_fd);
  }
  return *this;
}

void FileLock::release() noexcept {
  if (m_fd) {
    // Emptied while still held. Not unlocked but closed: a child that has the descriptor keeps the
    // lock.
    [[maybe_unused]] const int ignored = ::ftruncate(m_fd.get(), 0);
    m_fd.reset();
  }
}

std::string read_lock_holder(const std::filesystem::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));  // NOLINT: open is variadic
  char buffer[512];
  const ssize_t got = fd ? ::pread(fd.get(), buffer, sizeof buffer, 0) : -1;
  if (got <= 0) {
    return {};
  }
  return escape_control(trim(std::string_view(buffer, static_cast<std::size_t>(got))));
}

}  // namespace hamal
