// Reading ahead, and waiting when there is nothing to read.
#include "hamal/stream/byte_input.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "hamal/util/cancel.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

constexpr std::size_t k_initial_buffer = 64U << 10;
/// A buffer that one read fills grows up to this.
constexpr std::size_t k_busy_buffer = 1U << 20;

}  // namespace

std::size_t read_some(int fd, char* into, std::size_t size, const std::string& name) {
  const CancelToken& cancel = process_cancel_token();
  for (;;) {
    // A producer may be silent for hours: a signal that came just before read() would be missed.
    std::array<pollfd, 2> wait{pollfd{fd, POLLIN, 0}, pollfd{cancel.poll_fd(), POLLIN, 0}};
    if (::poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) {
      throw system_error("cannot wait for input", name, errno);
    }
    cancel.check();
    if (wait[0].revents == 0) {
      continue;
    }
    const ssize_t got = ::read(fd, into, size);
    if (got >= 0) {
      return static_cast<std::size_t>(got);
    }
    if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
      throw system_error("cannot read", name, errno);
    }
  }
}

ByteInput::ByteInput(int fd, std::string name, std::string_view prefix)
    : m_fd(fd),
      m_name(std::move(name)),
      m_buffer(std::max(k_initial_buffer, 2 * prefix.size())),
      m_end(prefix.size()) {
  prefix.copy(m_buffer.data(), prefix.size());
  // A larger pipe means fewer wake-ups of both sides; fails on what is no pipe, which is as well.
  static_cast<void>(::fcntl(fd, F_SETPIPE_SZ, static_cast<int>(k_busy_buffer)));  // NOLINT
}

bool ByteInput::read_more(std::size_t room) {
  if (m_begin == m_end) {
    m_begin = m_end = 0;
  }
  if (m_buffer.size() - m_end < room || m_begin > m_buffer.size() / 2) {
    std::memmove(m_buffer.data(), m_buffer.data() + m_begin, m_end - m_begin);
    m_end -= m_begin;
    m_begin = 0;
    if (m_buffer.size() - m_end < room) {
      m_buffer.resize(2 * (m_end + room));
    }
  }
  const std::size_t got = read_some(m_fd, m_buffer.data() + m_end, m_buffer.size() - m_end, m_name);
  m_end += got;
  if (m_end == m_buffer.size() && m_end < k_busy_buffer) {
    m_buffer.resize(2 * m_end);
  }
  return got != 0;
}

std::string_view ByteInput::fill(std::size_t want) {
  while (m_end - m_begin < want) {
    if (!read_more(want - (m_end - m_begin))) {
      break;
    }
  }
  return buffered();
}

}  // namespace hamal
