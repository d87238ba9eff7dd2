// Connecting to NBD servers: one that never answers, and what is asked of the kernel.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <csignal>
#include <thread>

#include "hamal/block/nbd_connection.hpp"
#include "hamal/util/cancel.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/unique_fd.hpp"
#include "lying_server.hpp"

namespace hamal {
namespace {

using Sharing = NbdConnection::Sharing;

/// Accepts on a free port of loopback, and says nothing.
class SilentServer {
 public:
  SilentServer() : m_listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);  // NOLINT: the API
    EXPECT_EQ(::bind(m_listener.get(), any, length), 0);
    EXPECT_EQ(::listen(m_listener.get(), 4), 0);
    EXPECT_EQ(::getsockname(m_listener.get(), any, &length), 0);
    m_uri = "nbd://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  const std::string& uri() const { return m_uri; }
  UniqueFd accept() const { return UniqueFd(::accept(m_listener.get(), nullptr, nullptr)); }

 private:
  UniqueFd m_listener;
  std::string m_uri;
};

// Otherwise the half minute passes, and the server is said not to answer.
TEST(NbdConnect, ACancelledRunDoesNotWaitForASilentServer) {
  for (const Sharing sharing : {Sharing::shared, Sharing::exclusive}) {
    const SilentServer server;
    CancelToken cancel;
    UniqueFd connection;
    std::thread signal([&] {
      connection = server.accept();
      cancel.request(SIGTERM);
    });
    try {
      const NbdConnection never(server.uri(), {}, sharing, &cancel);
      ADD_FAILURE() << "connected";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::terminated) << error.what();
    }
    signal.join();
  }
}

// Seen to fail without keep_alive(): a network that is cut without a word is never noticed.
TEST(NbdConnect, TheKernelLooksWhetherATcpPeerIsStillThere) {
  const LyingServer server(1U << 20, {{{1U << 20, 0}}}, LyingServer::Over::tcp);
  const auto connection =
      std::make_shared<NbdConnection>(server.uri(), std::vector<std::string>{}, Sharing::exclusive);
  const auto option = [&](int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    EXPECT_EQ(::getsockopt(connection->poll_fd(), level, name, &value, &length), 0);
    return value;
  };
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), 60);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPINTVL), 15);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_USER_TIMEOUT), 120'000);
}

}  // namespace
}  // namespace hamal
