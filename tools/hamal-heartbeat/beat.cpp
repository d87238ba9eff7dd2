#include "hamal-heartbeat/beat.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/output.hpp"
#include "hamal-heartbeat/facts.hpp"
#include "hamal/mass/console.hpp"
#include "hamal/mass/log_bundle.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::hours k_register_again{1};
constexpr std::int64_t k_noticed_skew = 60;  // seconds
constexpr int k_not_found = 404;

struct Report {
  std::string console;
  std::int64_t clock_skew = 0;
};

/// A proxy and its console: registers, and beats.
class Heart {
 public:
  explicit Heart(Session& session)
      : m_session(session), m_console(mass::console_settings(session.config()), session.cancel()) {}

  Report beat() {
    register_when_needed();
    fetch_host_mappings();
    mass::HeartbeatReply reply;
    try {
      reply = m_console.send_heartbeat(heartbeat_of(m_session, m_console.clock_skew()));
    } catch (const mass::ConsoleRefusal& refusal) {
      if (refusal.status() == k_not_found) {
        m_registered.reset();  // the console has forgotten this proxy
      }
      throw;
    }
    warn_of_skew();
    if (m_session.config().mass.enable_heartbeat_msg) {
      m_session.log().info("heartbeat sent to {}", m_console.settings().base);
    }
    if (reply.log_request) {
      put_log_bundle(*reply.log_request);
    }
    return {.console = m_console.settings().base, .clock_skew = m_console.clock_skew().value_or(0)};
  }

 private:
  /// The last good set stays in use while the console has none, or a wrong one.
  void fetch_host_mappings() {
    const std::filesystem::path path = host_mapping_file(m_session.config());
    try {
      const std::string lines = host_mapping_lines(m_console.host_mappings());
      std::error_code none;
      if (std::filesystem::exists(path, none) ? lines != read_file(path) : !lines.empty()) {
        write_file_atomically(path, lines);
        m_session.log().info("the console's host mappings have changed: {}", path.string());
      }
    } catch (const Error& error) {
      m_session.cancel().check();
      m_session.log().warning("the host mappings stay what they were: {}", error.what());
    }
  }

  void put_log_bundle(const mass::LogRequest& wanted) {
    m_session.log().info("the console wants the logs ({})", wanted.id);
    std::string archive = mass::log_bundle(m_session.config().defaults.log_dir, wanted.max_bytes);
    m_session.log().info("{} bytes of logs go to the console", archive.size());
    m_console.put_log_bundle(wanted.id, std::move(archive));
  }

  void register_when_needed() {
    mass::Registration registration = registration_of(m_session);
    const std::string facts = to_json(registration);
    const auto now = steady_clock::now();
    if (m_registered && facts == m_facts && now - *m_registered < k_register_again) {
      return;
    }
    if (m_session.config().mass.enable_get_public_ips) {
      registration.public_addresses = public_addresses();
    }
    m_console.put_registration(registration);
    m_registered = now;
    m_facts = facts;
    m_session.log().info("registered at {} as {}", m_console.settings().base,
                         m_console.settings().proxy);
  }

  std::vector<std::string> public_addresses() {
    try {
      return {m_console.seen_address()};
    } catch (const Error& error) {
      m_session.cancel().check();
      m_session.log().warning("the public addresses are not known: {}", error.what());
      return {};
    }
  }

  void warn_of_skew() {
    const std::int64_t skew = m_console.clock_skew().value_or(0);
    const bool noticed = std::llabs(skew) >= k_noticed_skew;
    if (noticed && !m_warned_of_skew) {
      const std::string text = fmt::format(
          "the console's clock is {} s {} this host's: set the clock (systemd-timesyncd, chrony)",
          std::llabs(skew), skew > 0 ? "ahead of" : "behind");
      m_session.log().warning("{}", text);
      if (!m_session.mirrored()) {
        fmt::print(stderr, "{}: warning: {}\n", m_session.tool(), text);
      }
    }
    m_warned_of_skew = noticed;
  }

  Session& m_session;
  mass::Console m_console;
  std::optional<steady_clock::time_point> m_registered;
  std::string m_facts;  ///< that were registered
  bool m_warned_of_skew = false;
};

Json json_of(const mass::ConsoleRequest& request, const std::string& base) {
  Json headers{{"Authorization", "Bearer ***"}};
  if (!request.body.empty()) {
    headers["Content-Type"] = request.content_type;
  }
  return {{"method", request.method},
          {"url", base + request.path},
          {"headers", headers},
          {"body", request.body.empty() ? Json(nullptr) : Json::parse(request.body)}};
}

std::string text_of(const Json& request) {
  std::string text = fmt::format("{} {}\n", request["method"].get<std::string>(),
                                 request["url"].get<std::string>());
  for (const auto& [name, value] : request["headers"].items()) {
    text += fmt::format("{}: {}\n", name, value.get<std::string>());
  }
  return text + (request["body"].is_null() ? "" : "\n" + request["body"].dump(2) + "\n");
}

int print_requests(Session& session) {
  const auto settings = mass::console_settings(session.config());
  std::vector<mass::ConsoleRequest> requests;
  if (session.config().mass.enable_get_public_ips) {
    requests.push_back(mass::seen_address_request(settings.proxy, settings.public_ip_timeout));
  }
  requests.push_back(mass::registration_request(settings.proxy, registration_of(session)));
  requests.push_back(mass::host_mappings_request(settings.proxy));
  requests.push_back(mass::heartbeat_request(settings.proxy, heartbeat_of(session, std::nullopt)));
  Json all = Json::array();
  std::string text;
  for (const mass::ConsoleRequest& request : requests) {
    all.push_back(json_of(request, settings.base));
    text += (text.empty() ? "" : "\n") + text_of(all.back());
  }
  const Json report{{"format", "hamal-heartbeat-requests"}, {"version", 1}, {"requests", all}};
  const bool json = session.options().format == ReportFormat::json;
  write_stdout(json ? report.dump() + "\n" : text, session.cancel());
  return 0;
}

int beat_once(Session& session) {
  const Report report = Heart(session).beat();
  if (session.options().format == ReportFormat::json) {
    const Json json{{"format", "hamal-heartbeat"},
                    {"version", 1},
                    {"console", report.console},
                    {"clock_skew_seconds", report.clock_skew}};
    write_stdout(json.dump() + "\n", session.cancel());
  }
  return 0;
}

int loop(Session& session) {
  Heart heart(session);
  session.log().info("loops, with a heartbeat every {} ms",
                     session.config().period.interval.count());
  for (;;) {
    const auto next = steady_clock::now() + session.config().period.interval;
    try {
      heart.beat();
    } catch (const Error& error) {
      session.cancel().check();
      if (error.kind() != ErrorKind::failed) {
        throw;
      }
      session.log().error("{}", error.what());
    }
    const auto left = std::chrono::duration_cast<milliseconds>(next - steady_clock::now());
    session.cancel().sleep_ms(
        static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 86'400'000)));
  }
}

}  // namespace

int run_heartbeat(const HeartbeatRequest& request, Session& session) {
  if (request.dry_run) {
    return print_requests(session);
  }
  return request.loop ? loop(session) : beat_once(session);
}

}  // namespace hamal
