// The QMP client against monitors that lie, stall, flood and die.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>

#include "hamal/platform/qemu/qmp_client.hpp"
#include "hamal/util/random_id.hpp"

namespace hamal::qemu {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr const char* k_greeting =
    R"({"QMP":{"version":{"qemu":{"micro":22,"minor":2,"major":7},"package":""},"capabilities":[]}})"
    "\n";

/// A monitor that does what its script says to each connection, then hangs up.
class FakeMonitor {
 public:
  class Peer {
   public:
    explicit Peer(int fd) : m_fd(fd) {}
    /// False when the client has hung up.
    bool say(const std::string& text) const {
      return ::send(m_fd.get(), text.data(), text.size(), MSG_NOSIGNAL) > 0;
    }
    /// One line of the client; empty when it hung up.
    std::string hear() const {
      std::string line;
      char c = 0;
      while (::recv(m_fd.get(), &c, 1, 0) == 1 && c != '\n') {
        line += c;
      }
      return line;
    }
    void greet() const {
      say(k_greeting);
      reply_to(hear(), R"("return":{})");
    }
    void reply_to(const std::string& request, const std::string& members) const {
      if (!request.empty()) {
        say("{\"id\":" + Json::parse(request).at("id").dump() + "," + members + "}\n");
      }
    }

   private:
    UniqueFd m_fd;
  };

  explicit FakeMonitor(std::function<void(const Peer&)> script)
      : m_path((std::filesystem::temp_directory_path() / ("qmp-" + random_hex(12))).string()),
        m_listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, m_path.data(), m_path.size());
    EXPECT_EQ(::bind(m_listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    EXPECT_EQ(::listen(m_listener.get(), 4), 0);
    m_thread = std::thread([this, script = std::move(script)] {
      const int fd = ::accept(m_listener.get(), nullptr, nullptr);
      if (fd >= 0) {
        script(Peer(fd));
      }
    });
  }
  ~FakeMonitor() {
    ::shutdown(m_listener.get(), SHUT_RDWR);
    m_thread.join();
    std::filesystem::remove(m_path);
  }
  // For who is answered; whoever expects to wait in vain says for how long.
  QmpSettings settings(std::chrono::milliseconds patience = 60s) const {
    return {m_path, patience, patience};
  }

 private:
  std::string m_path;
  UniqueFd m_listener;
  std::thread m_thread;
};

std::string failure_of(const std::function<void()>& step) {
  try {
    step();
  } catch (const Error& error) {
    return std::string(error.transient() ? "transient: " : "") + error.what();
  }
  return "it did not fail";
}

std::string connect_failure(const std::string& said, std::chrono::milliseconds patience = 60s) {
  const FakeMonitor monitor([&](const FakeMonitor::Peer& peer) {
    peer.say(said);
    peer.hear();
  });
  return failure_of([&] { QmpClient qmp(monitor.settings(patience)); });
}

std::string command_failure(const std::function<void(const FakeMonitor::Peer&)>& answer,
                            std::chrono::milliseconds patience = 60s) {
  const FakeMonitor monitor([&](const FakeMonitor::Peer& peer) {
    peer.greet();
    answer(peer);
  });
  return failure_of([&] {
    QmpSettings settings = monitor.settings();
    settings.reply_timeout = patience;
    QmpClient(settings).execute("query-block");
  });
}

TEST(QemuQmp, SpeaksToAMonitor) {
  const FakeMonitor monitor([](const FakeMonitor::Peer& peer) {
    peer.greet();
    const std::string request = peer.hear();
    EXPECT_EQ(Json::parse(request).at("execute"), "query-block");
    peer.say("\r\n");
    peer.say(R"({"event":"RESET","timestamp":{"seconds":1,"microseconds":2}})");
    peer.say("\n{\"return\":\"of another command\",\"id\":77}\n");
    peer.reply_to(request, R"("return":[{"device":"vd0"}])");
    peer.hear();
  });
  QmpClient qmp(monitor.settings());
  EXPECT_EQ(qmp.version(), (QmpGreeting{7, 2}));
  EXPECT_EQ(qmp.execute("query-block"), Json::parse(R"([{"device":"vd0"}])"));
  EXPECT_TRUE(qmp.wait_event("RESET", 0ms)) << "an event that came before counts";
  EXPECT_FALSE(qmp.wait_event("RESET", 10ms)) << "once";
}

TEST(QemuQmp, RefusalsKeepClassAndWords) {
  const FakeMonitor monitor([](const FakeMonitor::Peer& peer) {
    peer.greet();
    peer.reply_to(peer.hear(), R"("error":{"class":"CommandNotFound","desc":"no such\ncommand"})");
    peer.reply_to(peer.hear(), R"("error":{"class":"GenericError","desc":"disk is on fire"})");
  });
  QmpClient qmp(monitor.settings());
  EXPECT_EQ(qmp.execute_if_known("query-uuid"), std::nullopt);
  try {
    qmp.execute("query-block");
    ADD_FAILURE();
  } catch (const QmpError& error) {
    EXPECT_EQ(error.error_class(), "GenericError");
    EXPECT_EQ(error.description(), "disk is on fire");
    EXPECT_THAT(error.what(), HasSubstr("QEMU refused query-block: disk is on fire"));
  }
}

TEST(QemuQmp, NoGreetingMeansAnotherClient) {
  EXPECT_THAT(connect_failure("", 300ms), HasSubstr("another client holds this monitor"));
  EXPECT_THAT(connect_failure(R"({"QMP":{"version")", 300ms), HasSubstr("transient"));
}

TEST(QemuQmp, NoMonitorAtAll) {
  EXPECT_THAT(failure_of([] { QmpClient qmp({"/nonexistent/qmp.sock"}); }),
              HasSubstr("is QEMU running"));
  EXPECT_THAT(failure_of([] { QmpClient qmp({"/" + std::string(200, 'x')}); }),
              HasSubstr("shorter path"));
}

TEST(QemuQmp, SomethingElseListens) {
  EXPECT_THAT(connect_failure("SSH-2.0-OpenSSH_9.2\r\n"), HasSubstr("not a QMP reply"));
  EXPECT_THAT(connect_failure("QEMU 7.2.22 monitor\n(qemu) \n"), HasSubstr("mode=control"));
  EXPECT_THAT(connect_failure("[1,2]\n"), HasSubstr("not an object"));
  EXPECT_THAT(connect_failure("{}\n"), HasSubstr("neither greeting"));
  EXPECT_THAT(connect_failure("{\"return\":{}}\n"), HasSubstr("does not begin with a greeting"));
}

TEST(QemuQmp, GreetingsThatCannotBe) {
  EXPECT_THAT(connect_failure("{\"QMP\":7}\n"), HasSubstr("version"));
  EXPECT_THAT(connect_failure(R"({"QMP":{"version":{"qemu":{"major":-7,"minor":2}}}})"
                              "\n"),
              HasSubstr("major"));
  EXPECT_THAT(connect_failure(R"({"QMP":{"version":{"qemu":{"major":4294967303,"minor":2}}}})"
                              "\n"),
              HasSubstr("version"));
  EXPECT_THAT(connect_failure(R"({"QMP":{"version":{"qemu":{"major":6,"minor":2}}}})"
                              "\n"),
              HasSubstr("QEMU 6.2"));
}

TEST(QemuQmp, TruncatedAndBrokenReplies) {
  EXPECT_THAT(command_failure([](const auto& peer) {
                peer.hear();
                peer.say(R"({"return":[{"dev)");
              }),
              HasSubstr("in mid-reply"));
  EXPECT_THAT(command_failure([](const auto& peer) {
                peer.hear();
                peer.say("{\"return\":[1,}\n");
              }),
              HasSubstr("broken JSON"));
  EXPECT_THAT(command_failure([](const auto& peer) {
                peer.hear();
                peer.say("{\"return\":\"\xff\xfe\"}\n");
              }),
              HasSubstr("broken JSON"));
  EXPECT_THAT(command_failure([](const auto& peer) {
                peer.hear();
                peer.say("{\"error\":\"no object\"}\n");
              }),
              HasSubstr("class"));
  EXPECT_THAT(command_failure([](const auto& peer) { peer.hear(); }), HasSubstr("transient"));
}

TEST(QemuQmp, EndlessReplies) {
  EXPECT_THAT(command_failure([](const auto& peer) {
                peer.hear();
                const std::string much(1 << 20, ' ');
                for (int i = 0; i < 20; ++i) {
                  peer.say(much);
                }
              }),
              HasSubstr("more than 16 MiB"));
  EXPECT_THAT(command_failure([](const auto& peer) {
                peer.hear();
                peer.say("{\"return\":" + std::string(100'000, '[') + "\n");
              }),
              HasSubstr("nested too deeply"));
}

TEST(QemuQmp, ASilentMonitorIsGivenUp) {
  EXPECT_THAT(command_failure(
                  [](const auto& peer) {
                    peer.hear();
                    peer.hear();
                  },
                  300ms),
              HasSubstr("did not answer query-block"));
  // One that chatters and never answers, too.
  EXPECT_THAT(command_failure(
                  [](const auto& peer) {
                    peer.hear();
                    while (peer.say("{\"event\":\"RTC_CHANGE\"}\n")) {
                      std::this_thread::sleep_for(10ms);
                    }
                  },
                  300ms),
              HasSubstr("did not answer query-block"));
}

TEST(QemuQmp, ACancelledRunStopsWaiting) {
  const FakeMonitor monitor([](const FakeMonitor::Peer& peer) {
    peer.greet();
    peer.hear();
    peer.hear();
  });
  CancelToken cancel;
  QmpSettings settings = monitor.settings();
  settings.reply_timeout = 60s;
  QmpClient qmp(settings, &cancel);
  std::thread signal([&] {
    std::this_thread::sleep_for(50ms);
    cancel.request(SIGINT);
  });
  try {
    qmp.execute("query-block");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::interrupted);
  }
  signal.join();
}

TEST(QemuQmp, TypedMembersRefuseOtherTypes) {
  const Json object = Json::parse(R"({"s":"x","n":1,"m":-1,"b":true,"l":[]})");
  EXPECT_EQ(json_string(object, "s", "w"), "x");
  EXPECT_EQ(json_unsigned(object, "n", "w"), 1U);
  EXPECT_TRUE(json_bool(object, "b", false, "w"));
  EXPECT_TRUE(json_bool(object, "absent", true, "w"));
  EXPECT_THROW(json_string(object, "n", "w"), Error);
  EXPECT_THROW(json_string(object, "absent", "w"), Error);
  EXPECT_THROW(json_string(Json(3), "s", "w"), Error);
  EXPECT_THROW(json_unsigned(object, "m", "w"), Error);
  EXPECT_THROW(json_unsigned(object, "s", "w"), Error);
  EXPECT_THROW(json_bool(object, "n", false, "w"), Error);
  EXPECT_THROW(json_array(object, "w"), Error);
}

}  // namespace
}  // namespace hamal::qemu
