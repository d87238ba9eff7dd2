// The console's client: the requests of the contract, sent and sent again, and what was replied.
#pragma once
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "hamal/mass/replies.hpp"
#include "hamal/mass/requests.hpp"
#include "hamal/mass/settings.hpp"
#include "hamal/mass/tasks.hpp"
#include "hamal/net/http_client.hpp"
#include "hamal/util/cancel.hpp"
#include "hamal/util/error.hpp"

namespace hamal::mass {

/// The console heard, and did not do it.
class ConsoleRefusal : public Error {
 public:
  ConsoleRefusal(int status, std::string problem, std::string object, std::string hint,
                 Transience transience);
  int status() const noexcept { return m_status; }

 private:
  int m_status;
};

/// Thread-safe. Connections are kept. What may be repeated is, with jitter, after failures that may
/// pass, until the request's timeout; what may not is sent once. Nothing is sent before the time of
/// a Retry-After. Throws Error: ConsoleRefusal for a reply other than the contract's good one,
/// transient when it may pass, as HttpClient does otherwise, and as the token does when stopped.
class Console {
 public:
  /// The token outlives the console.
  Console(ConsoleSettings settings, const CancelToken& cancel);

  const ConsoleSettings& settings() const noexcept { return m_settings; }

  void put_registration(const Registration& registration);
  /// This proxy's address as the console sees it, within get_public_ip_timeout.
  std::string seen_address();
  HeartbeatReply send_heartbeat(const Heartbeat& heartbeat);
  std::vector<HostMapping> host_mappings();
  void put_log_bundle(const std::string& id, std::string archive);
  /// Each of these within `patience`, when that is shorter than default_request_timeout: whoever
  /// asks has other work.
  TaskList tasks(std::chrono::milliseconds patience);
  void put_progress(const std::string& task, const TaskProgress& progress,
                    std::chrono::milliseconds patience);
  void put_result(const std::string& task, const std::string& key, std::string body,
                  std::chrono::milliseconds patience);

  /// By how many seconds the console's clock was ahead of ours; nullopt before its first reply.
  std::optional<std::int64_t> clock_skew() const;

 private:
  HttpReply call(const ConsoleRequest& request);
  HttpReply call(ConsoleRequest request, std::chrono::milliseconds patience);
  HttpReply attempt(const ConsoleRequest& request, std::chrono::milliseconds timeout);
  void wait_until_allowed(const ConsoleRequest& request,
                          std::chrono::steady_clock::time_point deadline);
  [[noreturn]] void refuse(const ConsoleRequest& request, const HttpReply& reply) const;
  void note_time(std::chrono::system_clock::time_point server_time);

  const ConsoleSettings m_settings;
  const CancelToken& m_cancel;
  HttpClient m_http;
  mutable std::mutex m_mutex;
  std::chrono::steady_clock::time_point m_not_before;  ///< under m_mutex
  std::optional<std::int64_t> m_clock_skew;            ///< under m_mutex
};

}  // namespace hamal::mass
