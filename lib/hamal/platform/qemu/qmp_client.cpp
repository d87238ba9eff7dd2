// Connects, greets, sends commands, reads replies; every wait is bounded and can be cancelled.
#include "hamal/platform/qemu/qmp_client.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hamal::qemu {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// query-named-block-nodes of a machine with a hundred disks and bitmaps is well under 1 MiB.
constexpr std::size_t k_max_message = 16U << 20;
constexpr std::size_t k_max_events = 1024;

Error silent(const std::string& monitor, const std::string& what, const std::string& hint) {
  return {ErrorKind::failed, what, monitor, hint, Transience::transient};
}

Error busy_monitor(const std::string& monitor) {
  return silent(monitor, "the QMP monitor does not greet",
                "another client holds this monitor; give hamal its own");
}

}  // namespace

QmpError::QmpError(const std::string& monitor, const std::string& command,
                   const QmpFailure& failure)
    : Error(ErrorKind::failed, fmt::format("QEMU refused {}: {}", command, failure.description),
            monitor),
      m_error_class(failure.error_class),
      m_description(failure.description) {}

QmpClient::QmpClient(QmpSettings settings, const CancelToken* cancel)
    : m_settings(std::move(settings)), m_cancel(cancel) {
  connect();
  greet();
}

void QmpClient::connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (m_settings.socket.size() >= sizeof address.sun_path) {
    throw Error(ErrorKind::usage,
                fmt::format("the path of a unix socket has {} characters at most",
                            sizeof address.sun_path - 1),
                m_settings.socket, "use a shorter path in [platform] qmp");
  }
  std::memcpy(address.sun_path, m_settings.socket.data(), m_settings.socket.size());
  m_socket = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!m_socket) {
    throw system_error("cannot make a socket", m_settings.socket, errno);
  }
  const auto deadline = Clock::now() + m_settings.greeting_timeout;
  // A monitor that is talking to another client has a backlog of one: EAGAIN until it is free.
  while (::connect(m_socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
         0) {
    if (errno == EAGAIN && Clock::now() < deadline) {
      pollfd cancelled{m_cancel != nullptr ? m_cancel->poll_fd() : -1, POLLIN, 0};
      ::poll(&cancelled, 1, 20);
      if (m_cancel != nullptr) {
        m_cancel->check();
      }
      continue;
    }
    if (errno == EAGAIN) {
      throw busy_monitor(m_settings.socket);
    }
    if (errno == ENOENT || errno == ECONNREFUSED) {
      throw silent(m_settings.socket,
                   std::string("no QMP monitor answers here: ") + std::strerror(errno),
                   "is QEMU running, with -chardev socket,path=…,server=on,wait=off "
                   "and -mon mode=control?");
    }
    throw system_error("cannot connect to the QMP monitor", m_settings.socket, errno);
  }
}

void QmpClient::greet() {
  const auto message = receive(Clock::now() + m_settings.greeting_timeout);
  if (!message) {
    throw busy_monitor(m_settings.socket);
  }
  const auto* greeting = std::get_if<QmpGreeting>(&*message);
  if (greeting == nullptr) {
    throw Error(ErrorKind::failed, "the QMP monitor does not begin with a greeting",
                m_settings.socket, "is this the monitor of a QEMU, in mode=control?");
  }
  // copy-before-write's on-cbw-error and exports with bitmaps of other nodes came with 7.1.
  if (*greeting < QmpGreeting{7, 1}) {
    throw Error(
        ErrorKind::failed,
        fmt::format("this is QEMU {}.{}; a snapshot that never harms the guest needs 7.1 or later",
                    greeting->major, greeting->minor),
        m_settings.socket, "upgrade QEMU, or protect the machine in another way");
  }
  m_version = *greeting;
  execute("qmp_capabilities");
}

Json QmpClient::execute(const std::string& command, Json arguments) {
  const std::uint64_t id = ++m_last_id;
  const Json request{{"execute", command}, {"arguments", std::move(arguments)}, {"id", id}};
  send(request.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n");
  const auto deadline = Clock::now() + m_settings.reply_timeout;
  for (;;) {
    auto message = receive(deadline);
    if (!message) {
      throw silent(m_settings.socket,
                   fmt::format("QEMU did not answer {} within {} seconds", command,
                               m_settings.reply_timeout.count() / 1000),
                   "QEMU or its storage hangs");
    }
    if (const auto* event = std::get_if<QmpEvent>(&*message)) {
      keep_event(*event);
    } else if (auto* value = std::get_if<QmpReturn>(&*message)) {
      if (value->id == id) {
        return std::move(value->value);
      }
    } else if (const auto* failure = std::get_if<QmpFailure>(&*message)) {
      if (failure->id == id || failure->id == 0) {
        throw QmpError(m_settings.socket, command, *failure);
      }
    }
  }
}

std::optional<Json> QmpClient::execute_if_known(const std::string& command) {
  try {
    return execute(command);
  } catch (const QmpError& error) {
    if (error.error_class() == "CommandNotFound") {
      return std::nullopt;
    }
    throw;
  }
}

bool QmpClient::wait_event(const std::string& name, std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  for (;;) {
    if (const auto found = std::find(m_events.begin(), m_events.end(), name);
        found != m_events.end()) {
      m_events.erase(found);
      return true;
    }
    const auto message = receive(deadline);
    if (!message) {
      return false;
    }
    if (const auto* event = std::get_if<QmpEvent>(&*message)) {
      keep_event(*event);
    }
  }
}

void QmpClient::keep_event(const QmpEvent& event) {
  if (m_events.size() == k_max_events) {
    m_events.pop_front();
  }
  m_events.push_back(event.name);
}

void QmpClient::send(const std::string& text) {
  std::string_view rest = text;
  const auto deadline = Clock::now() + m_settings.reply_timeout;
  while (!rest.empty()) {
    const ssize_t sent = ::send(m_socket.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno == EINTR) {
      continue;
    }
    if (errno != EAGAIN) {
      throw system_error("the QMP monitor went away", m_settings.socket, errno);
    }
    pollfd writable{m_socket.get(), POLLOUT, 0};
    ::poll(&writable, 1, 100);
    if (m_cancel != nullptr) {
      m_cancel->check();
    }
    if (Clock::now() >= deadline) {
      throw silent(m_settings.socket, "QEMU does not read from its monitor",
                   "QEMU or its storage hangs");
    }
  }
}

bool QmpClient::wait_readable(Deadline deadline) const {
  for (;;) {
    if (m_cancel != nullptr) {
      m_cancel->check();
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() < 0) {
      return false;
    }
    pollfd fds[2] = {{m_socket.get(), POLLIN, 0},
                     {m_cancel != nullptr ? m_cancel->poll_fd() : -1, POLLIN, 0}};
    const int ready =
        ::poll(fds, 2, static_cast<int>(std::min<std::int64_t>(left.count(), 1000)) + 1);
    if (ready < 0 && errno != EINTR) {
      throw system_error("cannot wait for the QMP monitor", m_settings.socket, errno);
    }
    if (ready > 0 && fds[0].revents != 0) {
      return true;
    }
  }
}

std::optional<QmpMessage> QmpClient::receive(Deadline deadline) {
  for (;;) {
    if (const std::size_t end = m_buffer.find('\n', m_searched); end != std::string::npos) {
      const std::string line = m_buffer.substr(0, end);
      m_buffer.erase(0, end + 1);
      m_searched = 0;
      if (line.find_first_not_of(" \t\r") == std::string::npos) {
        continue;
      }
      return parse_qmp_message(line, m_settings.socket);
    }
    m_searched = m_buffer.size();
    if (m_buffer.size() > k_max_message) {
      throw Error(ErrorKind::failed,
                  fmt::format("a reply of more than {} MiB", k_max_message >> 20U),
                  m_settings.socket, "is this the monitor of a QEMU?");
    }
    if (!wait_readable(deadline)) {
      return std::nullopt;
    }
    char chunk[65536];
    const ssize_t got = ::recv(m_socket.get(), chunk, sizeof chunk, 0);
    if (got > 0) {
      m_buffer.append(chunk, static_cast<std::size_t>(got));
    } else if (got == 0) {
      throw silent(m_settings.socket,
                   m_buffer.empty() ? "the QMP monitor closed the connection"
                                    : "the QMP monitor closed the connection in mid-reply",
                   "QEMU ended or was restarted");
    } else if (errno != EAGAIN && errno != EINTR) {
      throw system_error("the QMP monitor went away", m_settings.socket, errno);
    }
  }
}

}  // namespace hamal::qemu
