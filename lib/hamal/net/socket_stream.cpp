// The socket never blocks: all waiting is one poll() on it and on the cancel token.
#include "hamal/net/socket_stream.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "hamal/util/error.hpp"
#include "hamal/util/unique_fd.hpp"

namespace hamal {
namespace {

using Clock = std::chrono::steady_clock;

struct Free {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
  void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { ::SSL_free(ssl); }
  void operator()(BIO* bio) const { ::BIO_free(bio); }
  void operator()(X509* certificate) const { ::X509_free(certificate); }
};
template <typename Type>
using Owned = std::unique_ptr<Type, Free>;

Error cut(const std::string& object, const std::string& what) {
  return {ErrorKind::failed, what, object, "see whether its host runs and the port is open",
          Transience::transient};
}

/// Waits until the socket is ready for `events`.
class Waiter {
 public:
  Waiter(int fd, std::chrono::milliseconds timeout, const CancelToken& cancel,
         const std::string& object)
      : m_fd(fd), m_end(Clock::now() + timeout), m_cancel(cancel), m_object(object) {}

  void wait(short events) {
    m_cancel.check();
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(m_end - Clock::now());
    if (left.count() <= 0) {
      throw cut(m_object, "the connection does not move");
    }
    std::array<pollfd, 2> fds{pollfd{m_fd, events, 0}, pollfd{m_cancel.poll_fd(), POLLIN, 0}};
    const int timeout = static_cast<int>(std::min<std::int64_t>(left.count(), INT_MAX));
    if (::poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR) {
      throw system_error("cannot wait for the connection", m_object, errno);
    }
    m_cancel.check();
  }

 private:
  int m_fd;
  Clock::time_point m_end;
  const CancelToken& m_cancel;
  const std::string& m_object;
};

class SocketStream final : public ByteStream {
 public:
  SocketStream(const SocketOptions& options, const CancelToken& cancel)
      : m_options(options),
        m_cancel(cancel),
        m_object(options.host + ":" + std::to_string(options.port)) {
    connect();
    if (options.security == StreamSecurity::tls) {
      shake_hands();
    }
  }

  void write(std::span<const std::byte> bytes) override {
    Waiter waiter = idle_waiter();
    while (!bytes.empty()) {
      const std::size_t done = m_ssl ? write_tls(bytes, waiter) : write_plain(bytes, waiter);
      bytes = bytes.subspan(done);
    }
  }

  void read(std::span<std::byte> into) override {
    Waiter waiter = idle_waiter();
    while (!into.empty()) {
      const std::size_t done = m_ssl ? read_tls(into, waiter) : read_plain(into, waiter);
      into = into.subspan(done);
    }
  }

  bool peer_has_closed() const override {
    pollfd fd{m_fd.get(), POLLRDHUP, 0};
    return ::poll(&fd, 1, 0) > 0 && (fd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
  }

 private:
  Waiter idle_waiter() const { return {m_fd.get(), m_options.idle_timeout, m_cancel, m_object}; }
  Waiter connect_waiter() const {
    return {m_fd.get(), m_options.connect_timeout, m_cancel, m_object};
  }

  void connect() {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int status = ::getaddrinfo(m_options.host.c_str(), std::to_string(m_options.port).c_str(),
                                     &hints, &found);
    if (status != 0) {
      throw cut(m_object, std::string("the host cannot be resolved: ") + ::gai_strerror(status));
    }
    const Owned<addrinfo> list(found);
    int last = 0;
    for (const addrinfo* one = list.get(); one != nullptr; one = one->ai_next) {
      last = connect_to(*one);
      if (last == 0) {
        return;
      }
    }
    const Error error = system_error("cannot connect", m_object, last);
    throw cut(m_object, error.problem());
  }

  int connect_to(const addrinfo& address) {
    m_fd = UniqueFd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (m_fd.get() < 0) {
      return errno;
    }
    if (::connect(m_fd.get(), address.ai_addr, address.ai_addrlen) != 0) {
      if (errno != EINPROGRESS) {
        return errno;
      }
      connect_waiter().wait(POLLOUT);
    }
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(m_fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error == 0) {
      // Not connected yet after all: the wait ended by its timeout.
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      error = ::getpeername(m_fd.get(), reinterpret_cast<sockaddr*>(&peer), &size) == 0  // NOLINT
                  ? 0
                  : ETIMEDOUT;
    }
    const int on = 1;
    ::setsockopt(m_fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(m_fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    return error;
  }

  void trust(SSL_CTX* context) const {
    const Owned<BIO> pem(
        ::BIO_new_mem_buf(m_options.ca_pem.data(), static_cast<int>(m_options.ca_pem.size())));
    X509_STORE* const store = ::SSL_CTX_get_cert_store(context);
    int count = 0;
    for (;;) {
      const Owned<X509> one(::PEM_read_bio_X509(pem.get(), nullptr, nullptr, nullptr));
      if (!one) {
        break;
      }
      count += ::X509_STORE_add_cert(store, one.get()) == 1 ? 1 : 0;
    }
    ::ERR_clear_error();
    if (count == 0) {
      throw Error(ErrorKind::failed, "there is no certificate by which the peer could be known",
                  m_object, "nothing is read from a peer that may be anybody");
    }
    // One that is no authority may be named itself.
    ::X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  }

  void shake_hands() {
    m_context.reset(::SSL_CTX_new(::TLS_client_method()));
    if (!m_context) {
      throw Error(ErrorKind::failed, "OpenSSL cannot be used", m_object);
    }
    ::SSL_CTX_set_min_proto_version(m_context.get(), TLS1_2_VERSION);
    ::SSL_CTX_set_verify(m_context.get(), SSL_VERIFY_PEER, nullptr);
    trust(m_context.get());
    m_ssl.reset(::SSL_new(m_context.get()));
    if (!m_ssl || ::SSL_set_fd(m_ssl.get(), m_fd.get()) != 1) {
      throw Error(ErrorKind::failed, "OpenSSL cannot be used", m_object);
    }
    Waiter waiter = connect_waiter();
    for (;;) {
      ::ERR_clear_error();
      const int status = ::SSL_connect(m_ssl.get());
      if (status == 1) {
        return;
      }
      if (const long verdict = ::SSL_get_verify_result(m_ssl.get()); verdict != X509_V_OK) {
        throw Error(ErrorKind::failed,
                    std::string("the TLS certificate is not to be trusted: ") +
                        ::X509_verify_cert_error_string(verdict),
                    m_object, "somebody is in between, or the host has a new certificate");
      }
      wait_for_tls(status, waiter);
    }
  }

  void wait_for_tls(int status, Waiter& waiter) {
    switch (::SSL_get_error(m_ssl.get(), status)) {
      case SSL_ERROR_WANT_READ:
        waiter.wait(POLLIN);
        return;
      case SSL_ERROR_WANT_WRITE:
        waiter.wait(POLLOUT);
        return;
      default:
        throw cut(m_object, "the connection was cut");
    }
  }

  std::size_t write_tls(std::span<const std::byte> bytes, Waiter& waiter) {
    std::size_t done = 0;
    ::ERR_clear_error();
    const int status = ::SSL_write_ex(m_ssl.get(), bytes.data(), bytes.size(), &done);
    if (status != 1) {
      done = 0;
      wait_for_tls(status, waiter);
    }
    return done;
  }

  std::size_t read_tls(std::span<std::byte> into, Waiter& waiter) {
    std::size_t done = 0;
    ::ERR_clear_error();
    const int status = ::SSL_read_ex(m_ssl.get(), into.data(), into.size(), &done);
    if (status != 1) {
      done = 0;
      wait_for_tls(status, waiter);
    }
    return done;
  }

  std::size_t write_plain(std::span<const std::byte> bytes, Waiter& waiter) {
    const ssize_t done = ::send(m_fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return moved(done, POLLOUT, waiter);
  }

  std::size_t read_plain(std::span<std::byte> into, Waiter& waiter) {
    const ssize_t done = ::recv(m_fd.get(), into.data(), into.size(), 0);
    if (done == 0) {
      throw cut(m_object, "the connection was cut");
    }
    return moved(done, POLLIN, waiter);
  }

  std::size_t moved(ssize_t done, short events, Waiter& waiter) {
    if (done >= 0) {
      return static_cast<std::size_t>(done);
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
      throw cut(m_object, "the connection was cut");
    }
    waiter.wait(events);
    return 0;
  }

  SocketOptions m_options;
  const CancelToken& m_cancel;
  std::string m_object;
  UniqueFd m_fd;
  Owned<SSL_CTX> m_context;
  Owned<SSL> m_ssl;  // before the descriptor goes
};

}  // namespace

std::unique_ptr<ByteStream> open_socket(const SocketOptions& options, const CancelToken& cancel) {
  return std::make_unique<SocketStream>(options, cancel);
}

}  // namespace hamal
