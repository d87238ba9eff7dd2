// sslmode=verify-full against a real server: it is who it says, by whom we trust, or there is no
// connection.
//
// Break it: connect with sslmode=require in place of what is asked for, and both strangers get in.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <filesystem>
#include <thread>

#include "hamal/state/state.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/unique_fd.hpp"
#include "servers.hpp"
#include "state_databases.hpp"

namespace hamal::testing {
namespace {

constexpr int k_tries = 3000;  // a minute

std::string free_port() {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);  // NOLINT: as sockets have it
  if (::bind(listener.get(), any, length) != 0 ||
      ::getsockname(listener.get(), any, &length) != 0) {
    throw std::runtime_error("no free port");
  }
  return std::to_string(ntohs(address.sin_port));
}

class StatePostgresqlTls : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_not(StateKind::postgresql); !why.empty()) {
      GTEST_SKIP() << why;
    }
    m_server = std::make_unique<Server>(
        std::vector<std::string>{HAMAL_SOURCE_DIR "/tests/lab/postgresql.sh",
                                 m_scratch.path().string(), m_port, "state.test"},
        m_scratch.file(".s.PGSQL." + m_port));
    const std::string socket =
        "postgresql://postgres@/postgres?host=" + m_scratch.path().string() + "&port=" + m_port;
    for (int tries = 0; ::PQping(socket.c_str()) != PQPING_OK; ++tries) {
      ASSERT_LT(tries, k_tries);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  std::string url(const std::string& host, const std::string& authority,
                  const std::string& mode = "verify-full") const {
    return "postgresql://hamal@" + host + ":" + m_port +
           "/hamal?hostaddr=127.0.0.1&sslmode=" + mode +
           "&sslrootcert=" + m_scratch.file(authority);
  }

  static std::string refusal(const std::string& url) {
    try {
      open_state(url, "hamal-secret");
    } catch (const Error& error) {
      EXPECT_EQ(exit_status(error), ExitStatus::usage) << error.what();
      return error.what();
    }
    return {};
  }

  ScratchDirectory m_scratch;
  const std::string m_port = free_port();
  std::unique_ptr<Server> m_server;
};

// One server for all: it takes seconds to start.
TEST_F(StatePostgresqlTls, TheRightHostByTheRightAuthorityIsTalkedToAndNoOther) {
  EXPECT_NO_THROW(
      open_state(url("state.test", "authority.crt"), "hamal-secret")->installation_id());

  const std::string host = refusal(url("other.test", "authority.crt"));
  EXPECT_NE(host.find("certificate is of another host"), std::string::npos) << host;
  EXPECT_NE(host.find("state.test"), std::string::npos) << host;
  EXPECT_NE(host.find("other.test"), std::string::npos) << host;

  const std::string authority = refusal(url("state.test", "other.crt"));
  EXPECT_NE(authority.find("not by an authority that is trusted"), std::string::npos) << authority;
  EXPECT_NE(authority.find("sslrootcert=FILE"), std::string::npos) << authority;

  const std::string none = refusal(url("state.test", "nowhere.crt"));
  EXPECT_NE(none.find("nowhere.crt"), std::string::npos) << none;
}

}  // namespace
}  // namespace hamal::testing
