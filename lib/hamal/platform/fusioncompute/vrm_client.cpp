// The password goes over the wire as the lower-case hexadecimal digits of its SHA-256, in a header,
// as the interface has it: whoever reads that header can log in, so only https is spoken.
#include "hamal/platform/fusioncompute/vrm_client.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "hamal/net/digest.hpp"
#include "hamal/platform/fusioncompute/vrm_error.hpp"
#include "hamal/platform/fusioncompute/vrm_reply.hpp"

namespace hamal::fusioncompute {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t k_longest_reply = 64U << 20U;
constexpr std::array k_pauses_ms{250, 1000};
constexpr std::uint64_t k_longest_session_ms = 24ULL * 3'600'000;
constexpr int k_unauthorized = 401;

HttpOptions options_of(const VrmEndpoint& endpoint) {
  HttpOptions options;
  options.ca_file = endpoint.ca_file;
  options.thumbprint = endpoint.thumbprint;
  options.idle_timeout = std::chrono::minutes(2);
  return options;
}

std::vector<unsigned> numbers_in(const std::string& version) {
  std::vector<unsigned> numbers;
  bool inside = false;
  for (const char c : version) {
    const bool digit = c >= '0' && c <= '9';
    if (digit && !inside) {
      numbers.push_back(0);
    }
    if (digit) {
      numbers.back() = numbers.back() * 10 + static_cast<unsigned>(c - '0');
    }
    inside = digit;
  }
  return numbers;
}

bool is_answer(const Error& error) {
  return dynamic_cast<const VrmError*>(&error) != nullptr;
}

bool is_refused_session(const HttpReply& reply) {
  return reply.status == k_unauthorized ||
         (reply.status != 200 && reply.body.find("10000002") != std::string::npos);
}

}  // namespace

std::string newest_version(const std::vector<std::string>& versions) {
  const auto found = std::max_element(
      versions.begin(), versions.end(),
      [](const std::string& a, const std::string& b) { return numbers_in(a) < numbers_in(b); });
  return found == versions.end() ? std::string() : *found;
}

VrmClient::VrmClient(VrmEndpoint endpoint, const CancelToken& cancel)
    : m_endpoint(std::move(endpoint)), m_cancel(cancel), m_http(options_of(m_endpoint), cancel) {}

VrmClient::~VrmClient() {
  end_session();
}

std::string VrmClient::accept(const std::string& version) const {
  return version.empty() ? "application/json;charset=UTF-8;"
                         : fmt::format("application/json;version={};charset=UTF-8;", version);
}

HttpReply VrmClient::send(const std::string& method, const std::string& path,
                          const std::string& body, const std::vector<HttpHeader>& more,
                          Connection connection, WhenStopped stopped) {
  HttpRequest http;
  http.method = method;
  http.url = m_endpoint.base + path;
  http.headers = more;
  http.headers.push_back({"Accept-Language", "en_US"});
  if (!body.empty()) {
    http.headers.push_back({"Content-Type", "application/json;charset=UTF-8"});
  }
  http.body = std::as_bytes(std::span(body));
  http.limit = k_longest_reply;
  http.connection = connection;
  http.when_stopped = stopped;
  HttpReply reply = m_http.perform(http);
  if (reply.fit == BodyFit::too_large) {
    throw Error(ErrorKind::failed, "a reply that is too long",
                fmt::format("{}, {} {}", m_endpoint.base, method, path));
  }
  return reply;
}

void VrmClient::choose_version() {
  const std::string path = "/service/versions";
  const std::string call = fmt::format("{}, GET {}", m_endpoint.base, path);
  const HttpReply reply =
      send("GET", path, {}, {{"Accept", accept({})}}, Connection::kept, WhenStopped::end);
  if (reply.status != 200) {
    throw_refusal(reply.body, reply.status, call);
  }
  std::vector<std::string> offered;
  const std::vector<VersionOffer> offers = parse_versions(reply.body, call);
  for (const VersionOffer& offer : offers) {
    offered.push_back(offer.version);
  }
  const std::string wanted =
      m_endpoint.api_version.empty() ? newest_version(offered) : m_endpoint.api_version;
  const auto found = std::find_if(offers.begin(), offers.end(), [&](const VersionOffer& offer) {
    return offer.version == wanted;
  });
  if (found == offers.end()) {
    std::string list;
    for (const std::string& one : offered) {
      list += (list.empty() ? "" : ", ") + one;
    }
    throw Error(ErrorKind::failed,
                wanted.empty() ? "the server offers no version of its interface"
                               : "the server does not offer version " + wanted,
                call, list.empty() ? "check that endpoint is that of a VRM" : "it offers " + list);
  }
  m_version = wanted;
  m_login_uri = found->login_uri.empty() ? m_login_uri : found->login_uri;
}

std::string VrmClient::token() {
  const std::lock_guard lock(m_mutex);
  if (m_version.empty()) {
    choose_version();
  }
  if (!m_session.token.empty() && Clock::now() < m_session.renew_at) {
    return m_session.token;
  }
  const std::string secret = resolve_secret(m_endpoint.secret, m_endpoint.object + " secret");
  std::vector<HttpHeader> headers{{"Accept", accept(m_version)},
                                  {"X-Auth-User", m_endpoint.user},
                                  {"X-Auth-Key", to_hex(sha256(secret))}};
  if (!m_endpoint.auth_user_type.empty()) {
    headers.push_back({"X-Auth-UserType", m_endpoint.auth_user_type});
  }
  if (!m_endpoint.auth_type.empty()) {
    headers.push_back({"X-Auth-AuthType", m_endpoint.auth_type});
  }
  const std::string call = fmt::format("{}, POST {}", m_endpoint.base, m_login_uri);
  // Before the request: the session's time runs from somewhere in it.
  const Clock::time_point begun = Clock::now();
  const HttpReply reply =
      send("POST", m_login_uri, {}, headers, Connection::kept, WhenStopped::end);
  if (reply.status != 200) {
    throw_refusal(reply.body, reply.status, call);
  }
  const std::string_view token = reply.header("x-auth-token");
  if (token.empty()) {
    throw Error(ErrorKind::failed, "the server gave no X-Auth-Token", call,
                "something in between takes headers away");
  }
  const std::uint64_t validity = parse_validity(reply.body, call);
  const std::uint64_t lasts =
      validity == 0 ? k_longest_session_ms : std::min(validity, k_longest_session_ms);
  end_session();
  m_session = {.token = std::string(token),
               .renew_at = begun + std::chrono::milliseconds(lasts / 5 * 4)};
  return m_session.token;
}

void VrmClient::forget(const std::string& token) {
  const std::lock_guard lock(m_mutex);
  if (m_session.token == token) {
    m_session = {};
  }
}

std::string VrmClient::attempt(const std::string& method, const std::string& path,
                               const std::string& body, Repeat repeat) {
  // A kept connection that turns out to be closed would have the call sent twice.
  const Connection connection = repeat == Repeat::yes ? Connection::kept : Connection::fresh;
  for (int tries = 0;; ++tries) {
    const std::string used = token();
    const HttpReply reply =
        send(method, path, body, {{"Accept", accept(m_version)}, {"X-Auth-Token", used}},
             connection, WhenStopped::end);
    if (reply.status == 200) {
      return reply.body;
    }
    // Nothing was done without a session: this one may always be made again.
    if (is_refused_session(reply) && tries == 0) {
      forget(used);
      continue;
    }
    throw_refusal(reply.body, reply.status, fmt::format("{} {}", method, path));
  }
}

std::string VrmClient::call(const std::string& method, const std::string& path,
                            const std::string& body, Repeat repeat) {
  for (std::size_t tries = 0;; ++tries) {
    try {
      return attempt(method, path, body, repeat);
    } catch (const Error& error) {
      // What the server answered it answered; a connection may come back.
      if (repeat == Repeat::no || is_answer(error) || !error.transient() ||
          error.kind() != ErrorKind::failed || tries == k_pauses_ms.size()) {
        throw;
      }
    }
    m_cancel.sleep_ms(k_pauses_ms.at(tries));
  }
}

void VrmClient::end_session() {
  if (m_session.token.empty()) {
    return;
  }
  try {
    send("DELETE", m_login_uri, {},
         {{"Accept", accept(m_version)}, {"X-Auth-Token", m_session.token}}, Connection::kept,
         WhenStopped::go_on);
  } catch (const std::exception&) {  // NOLINT: it ends by itself
  }
}

}  // namespace hamal::fusioncompute
