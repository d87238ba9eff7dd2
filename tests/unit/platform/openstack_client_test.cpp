// The client against a server that answers as it is told: what is asked again, what is said to
// people, and that a token is renewed once.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

#include "hamal/platform/openstack/client.hpp"

namespace hamal::openstack {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Asked {
  std::string line;  ///< "GET /v3/volumes HTTP/1.1"
  std::string head;
  std::string body;
};
struct Answer {
  int status = 200;
  std::string body = "{}";
  std::string headers{};
};

/// One connection at a time, closed after its reply.
class Scripted {
 public:
  explicit Scripted(std::function<Answer(const Asked&)> answer) : m_answer(std::move(answer)) {
    m_socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* const address = reinterpret_cast<sockaddr*>(&at);  // NOLINT: the interface of sockets
    if (bind(m_socket, address, size) != 0 || listen(m_socket, 8) != 0 ||
        getsockname(m_socket, address, &size) != 0) {
      throw std::runtime_error("no port");
    }
    m_port = ntohs(at.sin_port);
    m_thread = std::thread([this] { serve(); });
  }
  ~Scripted() {
    shutdown(m_socket, SHUT_RDWR);
    m_thread.join();
    close(m_socket);
  }
  Scripted(const Scripted&) = delete;
  Scripted& operator=(const Scripted&) = delete;

  std::string base() const { return "http://127.0.0.1:" + std::to_string(m_port); }
  std::vector<std::string> lines;  ///< of requests; read when the client is idle

 private:
  void serve() {
    for (;;) {
      const int peer = accept4(m_socket, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) {
        return;
      }
      std::string text;
      char buffer[4096];
      for (std::size_t want = 1; text.size() < want;) {
        const ssize_t got = read(peer, buffer, sizeof buffer);
        if (got <= 0) {
          break;
        }
        text.append(buffer, static_cast<std::size_t>(got));
        const std::size_t end = text.find("\r\n\r\n");
        want = text.size() + 1;
        if (end != std::string::npos) {
          const std::size_t length = text.find("Content-Length: ");
          want = end + 4 + (length < end ? std::stoul(text.substr(length + 16)) : 0);
        }
      }
      const std::size_t end = text.find("\r\n\r\n");
      Asked asked{text.substr(0, text.find(" HTTP/1.1")), text.substr(0, end),
                  end == std::string::npos ? "" : text.substr(end + 4)};
      lines.push_back(asked.line);
      const Answer answer = m_answer(asked);
      const std::string reply = "HTTP/1.1 " + std::to_string(answer.status) +
                                " X\r\nContent-Length: " + std::to_string(answer.body.size()) +
                                "\r\nConnection: close\r\n" + answer.headers + "\r\n" + answer.body;
      std::size_t sent = 0;
      while (sent < reply.size()) {
        const ssize_t put = send(peer, reply.data() + sent, reply.size() - sent, MSG_NOSIGNAL);
        if (put <= 0) {
          break;
        }
        sent += static_cast<std::size_t>(put);
      }
      close(peer);
    }
  }

  std::function<Answer(const Asked&)> m_answer;
  int m_socket = -1;
  unsigned m_port = 0;
  std::thread m_thread;
};

/// A Keystone whose catalog leads back to the same server; the rest is the test's.
class OpenStackClient : public testing::Test {
 protected:
  OpenStackClient() : server([this](const Asked& asked) { return answer(asked); }) {
    login.url = server.base() + "/v3";
    login.user = "backup";
    login.project = "demo";
    login.secret = parse_secret("hidden-word");
    login.object = "[platform cloud]";
  }

  Answer answer(const Asked& asked) {
    if (asked.line != "POST /v3/auth/tokens") {
      return service(asked);
    }
    logins.push_back(asked.body);
    if (refuse_login != 0) {
      return {refuse_login, R"({"error": {"code": 401, "message": "it requires authentication"}})"};
    }
    const std::string endpoint =
        R"([{"interface": "public", "region_id": "One", "url": ")" + server.base();
    return {201,
            R"({"token": {"project": {"id": "p", "name": "demo"}, "catalog": [
              {"type": "volumev3", "endpoints": )" +
                endpoint + R"(/c"}]}, {"type": "compute", "endpoints": )" + endpoint +
                R"(/n"}]}]}})",
            "X-Subject-Token: token-" + std::to_string(logins.size()) + "\r\n"};
  }

  std::string refusal(const ApiCall& call) {
    try {
      Client(login, cancel).call(call);
    } catch (const Error& error) {
      transient = error.transient();
      return error.what();
    }
    return "taken";
  }

  LoginSettings login;
  std::function<Answer(const Asked&)> service = [](const Asked&) { return Answer{}; };
  std::vector<std::string> logins;
  int refuse_login = 0;
  bool transient = false;
  CancelToken cancel;
  Scripted server;
};

const ApiCall k_list{.path = "/volumes", .what = "list the volumes"};
const ApiCall k_make{
    .method = "POST", .path = "/snapshots", .body = "{}", .what = "make a snapshot"};

TEST_F(OpenStackClient, LogsInByPasswordOrByApplicationCredential) {
  Client(login, cancel).call(k_list);
  EXPECT_EQ(logins[0],
            R"({"auth":{"identity":{"methods":["password"],"password":{"user":{"domain":{"name":)"
            R"("Default"},"name":"backup","password":"hidden-word"}}},"scope":{"project":{"domain")"
            R"(:{"name":"Default"},"name":"demo"}}}})");
  login.application_credential = "21dc";
  login.user.clear();
  Client(login, cancel).call(k_list);
  EXPECT_EQ(logins[1], R"({"auth":{"identity":{"application_credential":{"id":"21dc","secret":)"
                       R"("hidden-word"},"methods":["application_credential"]}}})");
  login.user = "9ce4e1361118472d868d30861a9c39bf";
  Client(login, cancel).call(k_list);
  EXPECT_THAT(logins[2], HasSubstr(R"("name":"21dc")"));
  EXPECT_THAT(logins[2], HasSubstr(R"("user":{"id":"9ce4e1361118472d868d30861a9c39bf"})"));
}

TEST_F(OpenStackClient, ARefusedLoginIsSaidWithoutTheSecret) {
  refuse_login = 401;
  const std::string said = refusal(k_list);
  EXPECT_THAT(said, HasSubstr("Keystone refuses the login: it requires authentication"));
  EXPECT_THAT(said, HasSubstr("user_domain"));
  EXPECT_THAT(said, testing::Not(HasSubstr("hidden-word")));
  EXPECT_FALSE(transient);
  refuse_login = 404;
  EXPECT_THAT(refusal(k_list), HasSubstr("OS_AUTH_URL"));
}

// Break it: leave out forget(), and the second request carries the token that was refused.
TEST_F(OpenStackClient, AnExpiredTokenIsRenewedOnce) {
  service = [](const Asked& asked) {
    const bool old = asked.head.find("token-1") != std::string::npos;
    return old ? Answer{401, ""} : Answer{200, "fresh"};
  };
  EXPECT_EQ(Client(login, cancel).call(k_list), "fresh");
  EXPECT_EQ(logins.size(), 2U);
  service = [](const Asked&) { return Answer{401, ""}; };
  EXPECT_THAT(refusal(k_list), HasSubstr("does not accept a new token"));
  EXPECT_EQ(logins.size(), 4U);
}

TEST_F(OpenStackClient, TheNewestMicroversionBothKnowIsSpoken) {
  service = [](const Asked& asked) {
    if (asked.head.find("OpenStack-API-Version: volume 3.40") != std::string::npos) {
      return Answer{200, "old enough"};
    }
    return Answer{406, R"({"computeFault": {"message": "Minimum is 3.0 and maximum is 3.40."}})"};
  };
  Client client(login, cancel);
  EXPECT_EQ(client.call(k_list), "old enough");
  EXPECT_EQ(client.call(k_list), "old enough");
  // Login, refusal, and one request for each call from then on.
  EXPECT_EQ(server.lines.size(), 4U);
  service = [](const Asked&) {
    return Answer{406, R"({"computeFault": {"message": "Minimum is 3.0 and maximum is 3.20."}})"};
  };
  EXPECT_THAT(refusal(k_list), HasSubstr("3.27 or newer is needed"));
}

TEST_F(OpenStackClient, RefusalsSayWhatToDo) {
  const auto said = [&](int status, const std::string& headers = {}) {
    service = [status, headers](const Asked&) {
      return Answer{status, R"({"x": {"message": "its words"}})", headers};
    };
    return refusal(k_make);
  };
  EXPECT_THAT(said(403),
              testing::AllOf(HasSubstr("the user may not do that: its words"), HasSubstr("ROLES"),
                             HasSubstr("Cinder to make a snapshot")));
  EXPECT_THAT(said(404), HasSubstr("not found: its words"));
  EXPECT_THAT(said(400), HasSubstr("Cinder refuses (HTTP 400): its words"));
  EXPECT_THAT(said(413), HasSubstr("quota is used up: its words"));
  EXPECT_FALSE(transient);
  EXPECT_THAT(said(503), HasSubstr("Cinder answers HTTP 503"));
  EXPECT_TRUE(transient);
}

// A snapshot must not be made twice because a proxy in between lost the reply.
// Break it: repeat POSTs after 503 too.
TEST_F(OpenStackClient, OnlyWhatMayBeRepeatedIs) {
  int asked = 0;
  service = [&asked](const Asked&) {
    return ++asked == 1 ? Answer{503, "", "Retry-After: 1\r\n"} : Answer{200, "done"};
  };
  EXPECT_EQ(Client(login, cancel).call(k_list), "done");
  asked = 0;
  EXPECT_THAT(refusal(k_make), HasSubstr("503"));
  EXPECT_EQ(asked, 1);
  asked = 0;
  service = [&asked](const Asked&) {
    return ++asked == 1 ? Answer{429, "", "Retry-After: 1\r\n"} : Answer{200, "done"};
  };
  EXPECT_EQ(Client(login, cancel).call(k_make), "done");
}

TEST_F(OpenStackClient, ListsFollowTheirPages) {
  service = [](const Asked& asked) {
    const bool second = asked.line == "GET /c/volumes?marker=a";
    return Answer{200, second ? R"({"volumes": [{"id": "b", "size": 1}]})"
                              : R"({"volumes": [{"id": "a", "size": 1}], "volumes_links": [
                                   {"rel": "next", "href": "https://other/x?marker=a"}]})"};
  };
  const auto all = Client(login, cancel).list(k_list, parse_volumes);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].id, "b");
  service = [](const Asked&) {
    return Answer{200, R"({"volumes": [], "volumes_links": [{"rel": "next", "href": "x?m=1"}]})"};
  };
  EXPECT_THROW(Client(login, cancel).list(k_list, parse_volumes), Error);
}

// Cinder's attachments come in pages without links. Break it: stop at the first page.
TEST_F(OpenStackClient, ListsWithoutLinksAreAskedUntilAPageIsEmpty) {
  service = [](const Asked& asked) {
    if (asked.line.ends_with("?sort=id")) {
      return Answer{200, R"({"attachments": [{"id": "a", "volume_id": "v"}]})"};
    }
    return Answer{200, asked.line.ends_with("&marker=a")
                           ? R"({"attachments": [{"id": "b", "volume_id": "w"}]})"
                           : R"({"attachments": []})"};
  };
  const ApiCall call{.path = "/attachments/detail?sort=id", .what = "list the attachments"};
  const auto all = Client(login, cancel).list_by_marker(call, parse_attachments);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].volume, "w");
}

TEST_F(OpenStackClient, WhatIsNoReplyIsAnError) {
  service = [](const Asked&) { return Answer{200, R"({"volumes": [{"id")"}; };
  EXPECT_THROW(Client(login, cancel).list(k_list, parse_volumes), Error);
}

}  // namespace
}  // namespace hamal::openstack
