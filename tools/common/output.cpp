#include "common/output.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace hamal {
namespace {
/// One piece is written without asking for interrupts in between.
constexpr std::size_t k_piece = 256 * 1024;
constexpr std::size_t k_buffer = 64 * 1024;
constexpr int k_last_words_ms = 1000;

/// A pipe that polls as writable takes this much without blocking.
constexpr std::size_t k_pipe_buf = 4096;

void write_ready(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd entry{STDOUT_FILENO, POLLOUT, 0};
    const int ready = ::poll(&entry, 1, k_last_words_ms);
    if (ready <= 0) {
      throw OutputFailed(ready == 0 ? ETIMEDOUT : errno);
    }
    const ssize_t written =
        ::write(STDOUT_FILENO, bytes.data(), std::min(bytes.size(), k_pipe_buf));
    if (written < 0) {
      throw OutputFailed(errno);
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}
}  // namespace

OutputFailed::OutputFailed(int errno_value)
    : Error(ErrorKind::failed,
            errno_value == EPIPE ? std::string("the program reading our output has ended")
                                 : "cannot write: " + std::generic_category().message(errno_value),
            "standard output", errno_value == EPIPE ? "its own message says why" : std::string()) {}

void write_stdout(std::string_view bytes, const CancelToken& cancel) {
  while (!bytes.empty()) {
    std::array<pollfd, 2> fds{{{STDOUT_FILENO, POLLOUT, 0}, {cancel.poll_fd(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) {
      throw OutputFailed(errno);
    }
    cancel.check();
    if (fds[0].revents == 0) {
      continue;
    }
    const ssize_t written = ::write(STDOUT_FILENO, bytes.data(), std::min(bytes.size(), k_piece));
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR && errno != EAGAIN) {
      throw OutputFailed(errno);
    }
  }
}

void StdoutSink::send(std::string_view bytes) {
  try {
    if (m_last_words) {
      write_ready(bytes);
    } else {
      write_stdout(bytes, *m_cancel);
    }
  } catch (...) {
    m_torn = true;
    throw;
  }
}

void StdoutSink::write(std::string_view bytes) {
  if (m_buffer.size() + bytes.size() > k_buffer) {
    flush();
  }
  if (bytes.size() > k_buffer) {
    send(bytes);
  } else {
    m_buffer.append(bytes);
  }
}

void StdoutSink::flush() {
  const std::string bytes = std::exchange(m_buffer, {});
  send(bytes);
}

bool stdout_is_terminal() noexcept {
  return ::isatty(STDOUT_FILENO) == 1;
}

}  // namespace hamal
