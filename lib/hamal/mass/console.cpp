#include "hamal/mass/console.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <exception>

#include "hamal/mass/retry.hpp"
#include "hamal/net/http_time.hpp"

namespace hamal::mass {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::uint64_t k_longest_reply = 4U << 20U;
constexpr milliseconds k_connect_timeout{10'000};

HttpOptions http_options(const ConsoleSettings& settings) {
  HttpOptions options;
  options.pinned_key = settings.pinned_key;
  options.mappings = settings.mappings;
  options.connect_timeout = std::min(k_connect_timeout, settings.request_timeout);
  options.idle_timeout = settings.request_timeout;
  return options;
}

milliseconds left_until(steady_clock::time_point deadline) {
  return std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
}

std::string hint_for(int status) {
  switch (status) {
    case 401:
      return "check auth_key in [mass]";
    case 403:
      return "check hyper_exporter_id in [mass], and what the console allows this proxy";
    case 404:
      return "check mass_endpoint and hyper_exporter_id in [mass]";
    default:
      return {};
  }
}

}  // namespace

ConsoleRefusal::ConsoleRefusal(int status, std::string problem, std::string object,
                               std::string hint, Transience transience)
    : Error(ErrorKind::failed, std::move(problem), std::move(object), std::move(hint), transience),
      m_status(status) {}

Console::Console(ConsoleSettings settings, const CancelToken& cancel)
    : m_settings(std::move(settings)), m_cancel(cancel), m_http(http_options(m_settings), cancel) {}

void Console::put_registration(const Registration& registration) {
  note_time(parse_registered(call(registration_request(m_settings.proxy, registration)).body));
}

std::string Console::seen_address() {
  return parse_seen_address(
      call(seen_address_request(m_settings.proxy, m_settings.public_ip_timeout)).body);
}

HeartbeatReply Console::send_heartbeat(const Heartbeat& heartbeat) {
  HeartbeatReply reply =
      parse_heartbeat_reply(call(heartbeat_request(m_settings.proxy, heartbeat)).body);
  note_time(reply.server_time);
  return reply;
}

std::vector<HostMapping> Console::host_mappings() {
  return parse_host_mappings(call(host_mappings_request(m_settings.proxy)).body);
}

void Console::put_log_bundle(const std::string& id, std::string archive) {
  call(log_bundle_request(m_settings.proxy, id, std::move(archive)));
}

TaskList Console::tasks(milliseconds patience) {
  TaskList list = parse_tasks(call(tasks_request(m_settings.proxy), patience).body);
  note_time(list.server_time);
  return list;
}

void Console::put_progress(const std::string& task, const TaskProgress& progress,
                           milliseconds patience) {
  call(progress_request(m_settings.proxy, task, progress), patience);
}

void Console::put_result(const std::string& task, const std::string& key, std::string body,
                         milliseconds patience) {
  call(result_request(m_settings.proxy, task, key, std::move(body)), patience);
}

HttpReply Console::call(ConsoleRequest request, milliseconds patience) {
  request.timeout = std::min(patience, m_settings.request_timeout);
  return call(request);
}

std::optional<std::int64_t> Console::clock_skew() const {
  const std::lock_guard lock(m_mutex);
  return m_clock_skew;
}

void Console::note_time(std::chrono::system_clock::time_point server_time) {
  const auto ahead =
      std::chrono::round<std::chrono::seconds>(server_time - std::chrono::system_clock::now());
  const std::lock_guard lock(m_mutex);
  m_clock_skew = ahead.count();
}

void Console::wait_until_allowed(const ConsoleRequest& request, steady_clock::time_point deadline) {
  steady_clock::time_point allowed;
  {
    const std::lock_guard lock(m_mutex);
    allowed = m_not_before;
  }
  const milliseconds wait = left_until(allowed);
  if (allowed > deadline) {
    throw Error(ErrorKind::failed,
                fmt::format("{} cannot be sent: the console wants to be asked again in {} s",
                            request.what, wait.count() / 1000 + 1),
                m_settings.base, {}, Transience::transient);
  }
  if (wait.count() >= 0) {
    m_cancel.sleep_ms(static_cast<int>(wait.count() + 1));
  }
}

HttpReply Console::attempt(const ConsoleRequest& request, milliseconds timeout) {
  HttpRequest http;
  http.method = request.method;
  http.url = m_settings.base + request.path;
  http.headers = request.headers;
  http.headers.push_back({"Authorization", "Bearer " + m_settings.auth_key});
  http.headers.push_back({"Accept", "application/json"});
  if (!request.body.empty()) {
    http.headers.push_back({"Content-Type", request.content_type});
  }
  http.body = std::as_bytes(std::span(request.body));
  http.limit = k_longest_reply;
  http.timeout = timeout;
  http.connection = request.repeat == Repeat::never ? Connection::fresh : Connection::kept;
  HttpReply reply = m_http.perform(http);
  if (const auto wait = retry_after(reply, std::chrono::system_clock::now())) {
    const std::lock_guard lock(m_mutex);
    m_not_before = std::max(m_not_before, steady_clock::now() + *wait);
  }
  return reply;
}

HttpReply Console::call(const ConsoleRequest& request) {
  const milliseconds patience =
      request.timeout.count() > 0 ? request.timeout : m_settings.request_timeout;
  const auto deadline = steady_clock::now() + patience;
  Pauses pauses;
  for (;;) {
    wait_until_allowed(request, deadline);
    std::exception_ptr failure;
    try {
      const HttpReply reply = attempt(request, std::max(milliseconds(1), left_until(deadline)));
      if (reply.fit == BodyFit::too_large) {
        throw Error(ErrorKind::failed, "the reply to " + request.what + " is too large",
                    m_settings.base);
      }
      if (reply.status == 200 || reply.status == 204) {
        return reply;
      }
      refuse(request, reply);
    } catch (const Error& error) {
      m_cancel.check();
      if (!error.transient() || request.repeat == Repeat::never) {
        throw;
      }
      failure = std::current_exception();
    }
    const milliseconds pause = pauses.next();
    if (pause >= left_until(deadline)) {
      std::rethrow_exception(failure);
    }
    m_cancel.sleep_ms(static_cast<int>(pause.count()));
  }
}

void Console::refuse(const ConsoleRequest& request, const HttpReply& reply) const {
  const Problem problem = parse_problem(reply.body);
  const std::string words = problem.error.empty()
                                ? std::string()
                                : fmt::format(" {}: {}", problem.error, problem.message);
  throw ConsoleRefusal(
      reply.status,
      fmt::format("the console refuses {} with status {}{}", request.what, reply.status, words),
      m_settings.base, hint_for(reply.status),
      may_pass(reply.status) ? Transience::transient : Transience::permanent);
}

}  // namespace hamal::mass
