#include "hamal/util/cancel.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>

#include "hamal/util/error.hpp"

namespace hamal {

CancelToken::CancelToken() : m_event_fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (m_event_fd < 0) {
    throw system_error("cannot make an eventfd", "", errno);
  }
}

CancelToken::~CancelToken() {
  ::close(m_event_fd);
}

void CancelToken::request(int signal_number) noexcept {
  m_signal.store(signal_number, std::memory_order_relaxed);
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto ignored = ::write(m_event_fd, &one, sizeof one);
}

void CancelToken::check() const {
  const int signal_number = m_signal.load(std::memory_order_relaxed);
  if (signal_number == 0) {
    return;
  }
  if (signal_number == SIGTERM) {
    throw Error(ErrorKind::terminated, "stopped by SIGTERM");
  }
  throw Error(ErrorKind::interrupted, "interrupted");
}

void CancelToken::sleep_ms(int milliseconds) const {
  pollfd entry{m_event_fd, POLLIN, 0};
  ::poll(&entry, 1, milliseconds);
  check();
}

CancelToken& process_cancel_token() {
  static CancelToken token;
  return token;
}

namespace {
void on_signal(int signal_number) {
  const int saved = errno;
  process_cancel_token().request(signal_number);
  errno = saved;
}
}  // namespace

void install_signal_handlers() {
  process_cancel_token();  // constructed here, never inside the handler
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // NOLINT: the macro's cast is the system's
}

}  // namespace hamal
