// The NBD protocol, as much of it as libnbd needs to ask for block_status.
#include "lying_server.hpp"

#include <endian.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <stdexcept>

namespace hamal {
namespace {

struct Closed {};

void send_all(int fd, const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t put = ::send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (put <= 0) {
      throw Closed{};
    }
    at += static_cast<std::size_t>(put);
  }
}

std::string receive(int fd, std::size_t length) {
  std::string bytes(length, '\0');
  for (std::size_t at = 0; at < length;) {
    const ssize_t got = ::recv(fd, bytes.data() + at, length - at, 0);
    if (got <= 0) {
      throw Closed{};
    }
    at += static_cast<std::size_t>(got);
  }
  return bytes;
}

template <typename T>
std::string big_endian(T value) {
  std::string bytes(sizeof value, '\0');
  for (std::size_t i = 0; i < sizeof value; ++i) {
    bytes[i] = static_cast<char>(value >> (8 * (sizeof value - 1 - i)));
  }
  return bytes;
}

std::uint64_t number(const std::string& bytes, std::size_t at, std::size_t length) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < length; ++i) {
    value = value << 8U | static_cast<unsigned char>(bytes.at(at + i));
  }
  return value;
}

std::string option_reply(std::uint32_t option, std::uint32_t type, const std::string& data = {}) {
  return big_endian<std::uint64_t>(0x3e889045565a9) + big_endian(option) + big_endian(type) +
         big_endian(static_cast<std::uint32_t>(data.size())) + data;
}

constexpr std::uint32_t k_ack = 1;
constexpr std::uint32_t k_unsupported = 0x80000001;

}  // namespace

LyingServer::LyingServer(std::uint64_t size, std::vector<Entries> replies, Over over)
    : m_size(size), m_replies(std::move(replies)) {
  std::string name = (std::filesystem::temp_directory_path() / "hamal-lie-XXXXXX").string();
  m_directory = ::mkdtemp(name.data());
  m_listener = UniqueFd(over == Over::tcp ? bind_to_loopback() : bind_to_path());
  if (::listen(m_listener.get(), 4) != 0) {
    throw std::runtime_error("cannot listen");
  }
  m_thread = std::thread([this] { serve(); });
}

int LyingServer::bind_to_path() {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (m_directory / "s").c_str(), sizeof address.sun_path - 1);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
      0) {  // NOLINT: the API
    throw std::runtime_error("cannot bind");
  }
  m_uri = "nbd+unix:///?socket=" + (m_directory / "s").string();
  return fd;
}

int LyingServer::bind_to_loopback() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);  // NOLINT: the API
  if (::bind(fd, any, length) != 0 || ::getsockname(fd, any, &length) != 0) {
    throw std::runtime_error("cannot bind");
  }
  m_uri = "nbd://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  return fd;
}

LyingServer::~LyingServer() {
  ::shutdown(m_listener.get(), SHUT_RDWR);
  m_thread.join();
  std::filesystem::remove_all(m_directory);
}

void LyingServer::serve() {
  const UniqueFd connection(::accept4(m_listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) {
    return;
  }
  try {
    handshake(connection.get());
    transmission(connection.get());
  } catch (const Closed&) {  // NOLINT: the client has gone
  }
}

void LyingServer::handshake(int fd) {
  send_all(fd, "NBDMAGICIHAVEOPT" + big_endian<std::uint16_t>(3));
  receive(fd, 4);
  for (;;) {
    const std::string head = receive(fd, 16);
    const auto option = static_cast<std::uint32_t>(number(head, 8, 4));
    receive(fd, number(head, 12, 4));
    if (option == 8) {  // structured replies
      send_all(fd, option_reply(option, k_ack));
    } else if (option == 10) {  // set meta context: base:allocation is 7
      send_all(fd, option_reply(option, 4, big_endian<std::uint32_t>(7) + "base:allocation"));
      send_all(fd, option_reply(option, k_ack));
    } else if (option == 7) {  // go; flags: has flags, sends flush, has DF
      send_all(fd, option_reply(option, 3,
                                big_endian<std::uint16_t>(0) + big_endian(m_size) +
                                    big_endian<std::uint16_t>(0x85)));
      send_all(fd, option_reply(option, k_ack));
      return;
    } else {
      send_all(fd, option_reply(option, k_unsupported));
    }
  }
}

void LyingServer::transmission(int fd) {
  for (std::size_t next = 0;;) {
    const std::string request = receive(fd, 28);
    if (number(request, 6, 2) != 7) {  // anything but block_status ends it
      return;
    }
    std::string payload = big_endian<std::uint32_t>(7);
    for (const auto& [length, flags] : m_replies[next]) {
      payload += big_endian(length) + big_endian(flags);
    }
    if (next + 1 < m_replies.size()) {
      ++next;
    }
    send_all(fd, big_endian<std::uint32_t>(0x668e33ef) + big_endian<std::uint16_t>(1) +
                     big_endian<std::uint16_t>(5) + request.substr(8, 8) +
                     big_endian(static_cast<std::uint32_t>(payload.size())) + payload);
  }
}

}  // namespace hamal
