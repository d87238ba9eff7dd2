// A server that answers as it is told, and a Keystone whose catalog leads back to it.
#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "hamal/platform/openstack/client.hpp"

namespace hamal::openstack {

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
class ScriptedOpenStack : public testing::Test {
 protected:
  ScriptedOpenStack() : server([this](const Asked& asked) { return answer(asked); }) {
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

}  // namespace hamal::openstack
