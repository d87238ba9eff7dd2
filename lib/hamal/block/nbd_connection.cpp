// Connecting, negotiating and stepping one NBD connection.
#include "hamal/block/nbd_connection.hpp"

#include <libnbd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "hamal/block/nbd_channel.hpp"

namespace hamal {
namespace {

constexpr std::uint32_t k_default_max_request = 32U << 20;
constexpr std::uint32_t k_our_preferred_request = 256U << 10;
constexpr auto k_connect_timeout = std::chrono::seconds(30);
// One more connection to a server that answered already: it either takes it soon, or never.
constexpr auto k_another_timeout = std::chrono::seconds(10);

Transience transience_of_connect(int errno_value) {
  switch (errno_value) {
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT:
    case ENOTCONN:
    case EAGAIN:
    case EPIPE:
    case ESHUTDOWN:
      return Transience::transient;
    default:
      return Transience::permanent;
  }
}

// A network that was cut without a word is noticed within two minutes. Not on unix sockets, where
// the kernel knows.
void keep_alive(int fd) noexcept {
  const int on = 1;
  const int idle_seconds = 60;
  const int interval_seconds = 15;
  const unsigned unanswered_ms = 120'000;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof idle_seconds);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_seconds, sizeof interval_seconds);
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof unanswered_ms);
}

Error cut_error(const std::string& uri, const std::string& why) {
  return {ErrorKind::failed, "the NBD connection was cut: " + why, uri,
          "see whether the NBD server still runs, then run again", Transience::transient};
}

}  // namespace

std::string nbd_error_text() {
  const char* text = nbd_get_error();
  if (text == nullptr) {
    return "unknown error of libnbd";
  }
  std::string words = text;
  if (words.starts_with("nbd_")) {
    if (const std::size_t colon = words.find(": "); colon != std::string::npos) {
      words.erase(0, colon + 2);
    }
  }
  return words;
}

void NbdConnection::Close::operator()(nbd_handle* handle) const noexcept {
  if (nbd_aio_is_ready(handle) == 1 && nbd_aio_in_flight(handle) == 0) {
    nbd_aio_disconnect(handle, 0);  // polite: servers log a connection that just ends
  }
  nbd_close(handle);
}

NbdConnection::NbdConnection(const std::string& uri, const std::vector<std::string>& contexts,
                             Sharing sharing, const CancelToken* cancel)
    : m_uri(uri), m_sharing(sharing), m_cancel(cancel), m_handle(nbd_create()) {
  if (!m_handle) {
    throw Error(ErrorKind::failed, "cannot make an NBD handle: " + nbd_error_text(), uri);
  }
  connect(contexts);
  read_capabilities();
  std::copy_if(contexts.begin(), contexts.end(), std::back_inserter(m_contexts),
               [this](const std::string& context) {
                 return nbd_can_meta_context(handle(), context.c_str()) == 1;
               });
}

NbdConnection::~NbdConnection() = default;

void NbdConnection::connect(const std::vector<std::string>& contexts) {
  nbd_handle* h = handle();
  // Reads are checked to be complete by libnbd; clearing the buffer before each costs a pass over
  // memory.
  nbd_set_pread_initialize(h, false);
  nbd_set_uri_allow_local_file(h, true);  // tls-psk-file, tls-certificates
  for (const std::string& context : contexts) {
    if (nbd_add_meta_context(h, context.c_str()) == -1) {
      throw Error(ErrorKind::usage, "cannot ask for \"" + context + "\": " + nbd_error_text(),
                  m_uri);
    }
  }
  const auto fail = [this] {
    const int error = nbd_get_errno();
    const std::string text = nbd_error_text();
    // libnbd has no errno for a connection that ends during the handshake.
    const bool ended = text.find("disconnected unexpectedly") != std::string::npos;
    throw Error(ErrorKind::failed, "cannot connect to the NBD export: " + text, m_uri,
                "see whether the NBD server runs and has this export",
                ended ? Transience::transient : transience_of_connect(error));
  };
  if (nbd_aio_connect_uri(h, m_uri.c_str()) == -1) {
    fail();
  }
  const auto deadline = std::chrono::steady_clock::now() +
                        (m_sharing == Sharing::shared ? k_connect_timeout : k_another_timeout);
  while (nbd_aio_is_connecting(h) == 1 || nbd_aio_is_negotiating(h) == 1) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    const int ready = await_connect(left);
    if (ready == -1) {
      // libnbd 1.14 cannot wait for a unix socket whose queue of connections is full.
      if (nbd_aio_is_connecting(h) == 1) {
        throw Error(ErrorKind::failed, "the NBD server takes no more connections now", m_uri,
                    "see whether it hangs, or run again", Transience::transient);
      }
      fail();
    }
    if (ready == 0 && left.count() <= 0) {
      throw Error(ErrorKind::failed, "the NBD server does not answer", m_uri,
                  "it may allow fewer connections than are open now (qemu-nbd --shared)",
                  Transience::transient);
    }
  }
  if (nbd_aio_is_ready(h) != 1) {
    fail();
  }
  keep_alive(nbd_aio_get_fd(h));
}

// nbd_poll() knows of no other descriptor: the waiting is done here, the step there.
int NbdConnection::await_connect(std::chrono::milliseconds left) {
  std::array<pollfd, 2> fds{{{nbd_aio_get_fd(handle()), poll_events(), 0},
                             {m_cancel == nullptr ? -1 : m_cancel->poll_fd(), POLLIN, 0}}};
  if (fds[0].events != 0 && left.count() > 0) {
    ::poll(fds.data(), fds.size(), static_cast<int>(left.count()));
  }
  if (m_cancel != nullptr) {
    m_cancel->check();
  }
  return nbd_poll(handle(), 0);
}

void NbdConnection::read_capabilities() {
  nbd_handle* h = handle();
  const std::int64_t size = nbd_get_size(h);
  if (size < 0) {
    throw Error(ErrorKind::failed, "the NBD server does not tell a usable size", m_uri);
  }
  m_size = static_cast<std::uint64_t>(size);
  m_multi_conn = nbd_can_multi_conn(h) == 1;
  m_read_only = nbd_is_read_only(h) == 1;
  m_can_flush = nbd_can_flush(h) == 1;
  m_can_zero = nbd_can_zero(h) == 1;

  const auto limit = [h](int which) {
    const std::int64_t value = nbd_get_block_size(h, which);
    return value > 0 ? static_cast<std::uint64_t>(value) : 0;
  };
  const std::uint64_t min = std::max<std::uint64_t>(limit(LIBNBD_SIZE_MINIMUM), 1);
  // The protocol's own bound; anything else would break the arithmetic of alignment.
  if (min > 65536 || (min & (min - 1)) != 0) {
    throw Error(ErrorKind::failed,
                "the NBD server asks for requests in multiples of " + std::to_string(min) +
                    " bytes, which the protocol forbids",
                m_uri);
  }
  m_min_request = static_cast<std::uint32_t>(min);
  const std::uint64_t max = limit(LIBNBD_SIZE_MAXIMUM);
  const std::uint64_t wanted =
      std::min<std::uint64_t>(max == 0 ? k_default_max_request : max, k_default_max_request);
  m_max_request = static_cast<std::uint32_t>(std::max(wanted - wanted % min, min));
  m_preferred_request = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      std::max<std::uint64_t>(limit(LIBNBD_SIZE_PREFERRED), k_our_preferred_request),
      m_max_request));
}

bool NbdConnection::offers(const std::string& context) const {
  return std::find(m_contexts.begin(), m_contexts.end(), context) != m_contexts.end();
}

std::shared_ptr<NbdConnection> NbdConnection::for_queue() {
  if (!m_multi_conn) {
    return shared_from_this();
  }
  auto other = std::make_shared<NbdConnection>(m_uri, std::vector<std::string>{},
                                               Sharing::exclusive, m_cancel);
  if (other->size() != m_size) {
    throw Error(ErrorKind::failed,
                "the export changed its size from " + std::to_string(m_size) + " to " +
                    std::to_string(other->size()) + " bytes while it was open",
                m_uri, "run again");
  }
  return other;
}

int NbdConnection::poll_fd() const noexcept {
  return poll_events() == 0 ? -1 : nbd_aio_get_fd(handle());
}

short NbdConnection::poll_events() const noexcept {
  const unsigned direction = nbd_aio_get_direction(handle());
  int events = 0;
  if ((direction & LIBNBD_AIO_DIRECTION_READ) != 0) {
    events |= POLLIN;
  }
  if ((direction & LIBNBD_AIO_DIRECTION_WRITE) != 0) {
    events |= POLLOUT;
  }
  return static_cast<short>(events);
}

void NbdConnection::attach(NbdChannel& channel) {
  const std::lock_guard lock(m_state_mutex);
  m_channels.push_back(&channel);
}

void NbdConnection::detach(NbdChannel& channel) {
  const std::lock_guard lock(m_state_mutex);
  std::erase(m_channels, &channel);
}

void NbdConnection::wake_writers(const NbdChannel& by) {
  if (!shared() || (poll_events() & POLLOUT) == 0) {
    return;
  }
  const std::lock_guard lock(m_state_mutex);
  for (NbdChannel* channel : m_channels) {
    if (channel != &by) {
      channel->wake();
    }
  }
}

bool NbdConnection::pump(NbdChannel& by) {
  const std::lock_guard lock(m_mutex);
  pollfd entry{poll_fd(), poll_events(), 0};
  if (entry.fd < 0) {
    check_alive();
    return false;
  }
  if (::poll(&entry, 1, 0) <= 0) {
    return false;
  }
  // Input first: a server may stop reading until we take its replies.
  const bool reads = (entry.events & POLLIN) != 0;
  const bool input = (entry.revents & POLLIN) != 0;
  const bool trouble = (entry.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
  const NbdChannel::Driving driving(by);
  if (reads && (input || trouble)) {
    nbd_aio_notify_read(handle());
  } else {
    nbd_aio_notify_write(handle());
  }
  check_alive();
  wake_writers(by);
  return true;
}

void NbdConnection::check_alive() {
  if (nbd_aio_is_dead(handle()) != 1 && nbd_aio_is_closed(handle()) != 1) {
    return;
  }
  const std::lock_guard lock(m_state_mutex);
  if (m_broken) {
    return;
  }
  const std::string why =
      nbd_aio_is_dead(handle()) == 1 ? nbd_error_text() : "the server closed it";
  m_broken = std::make_exception_ptr(cut_error(m_uri, why));
}

int NbdConnection::synchronously(const std::function<int(nbd_handle*)>& call) {
  const std::lock_guard lock(m_mutex);
  const int result = call(handle());
  check_alive();
  return result;
}

std::exception_ptr NbdConnection::broken() const {
  const std::lock_guard lock(m_state_mutex);
  return m_broken;
}

void NbdConnection::cut() {
  const std::lock_guard lock(m_mutex);
  if (const int fd = poll_fd(); fd >= 0) {
    ::shutdown(fd, SHUT_RDWR);
  }
}

}  // namespace hamal
