#include "hamal/platform/openstack/client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "hamal/json/strict_json.hpp"

namespace hamal::openstack {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t k_longest_reply = 64U << 20U;
constexpr std::array k_pauses_ms{250, 1000, 3000};
constexpr int k_longest_pause_s = 30;
/// Ocata: attachments tell how a volume is reached.
constexpr std::string_view k_oldest_cinder = "3.27";
constexpr std::string_view k_oldest_nova = "2.3";

HttpOptions options_of(const LoginSettings& login) {
  HttpOptions options;
  options.ca_file = login.ca_file;
  options.mappings = login.mappings;
  options.idle_timeout = std::chrono::minutes(2);
  return options;
}

bool is_id(std::string_view text) {
  return text.size() == 32 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Json domain_of(const std::string& text) {
  return is_id(text) || text == "default" ? Json{{"id", text}} : Json{{"name", text}};
}

Json named(const std::string& text, const std::string& domain) {
  return is_id(text) ? Json{{"id", text}} : Json{{"name", text}, {"domain", domain_of(domain)}};
}

std::string login_body(const LoginSettings& login) {
  const std::string secret = resolve_secret(login.secret, login.object + " secret");
  Json identity;
  Json auth;
  if (login.application_credential.empty()) {
    Json user = named(login.user, login.user_domain);
    user["password"] = secret;
    identity["methods"] = {"password"};
    identity["password"]["user"] = user;
    auth["scope"]["project"] = named(login.project, login.project_domain);
  } else {
    // It has its project, and refuses to be given one.
    Json credential{{"secret", secret}};
    if (login.user.empty()) {
      credential["id"] = login.application_credential;
    } else {
      credential["name"] = login.application_credential;
      credential["user"] = named(login.user, login.user_domain);
    }
    identity["methods"] = {"application_credential"};
    identity["application_credential"] = credential;
  }
  auth["identity"] = identity;
  // What is no UTF-8 is replaced: a secret that is none is refused by Keystone, not by a throw here
  // that would show it.
  return Json{{"auth", auth}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_busy(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

/// Cinder's 413 is a used-up quota, and was a rate limit that says when to come back.
bool is_rate_limit(const HttpReply& reply) {
  return reply.status == 429 || (reply.status == 413 && !reply.header("retry-after").empty() &&
                                 reply.header("retry-after") != "0");
}

int pause_ms(const HttpReply& reply, std::size_t tries) {
  const std::string_view wish = reply.header("retry-after");
  int seconds = 0;
  const auto parsed = std::from_chars(wish.data(), wish.data() + wish.size(), seconds);
  if (parsed.ec == std::errc() && parsed.ptr == wish.data() + wish.size() && seconds > 0) {
    return std::min(seconds, k_longest_pause_s) * 1000;
  }
  return k_pauses_ms.at(tries);
}

std::string sentence(const std::string& what, const std::string& words) {
  return words.empty() ? what : what + ": " + words;
}

}  // namespace

bool has_status(const Error& error, int status) {
  const auto* const refusal = dynamic_cast<const ApiError*>(&error);
  return refusal != nullptr && refusal->status() == status;
}

Client::Client(LoginSettings login, const CancelToken& cancel, std::size_t longest_list)
    : m_login(std::move(login)),
      m_cancel(cancel),
      m_longest_list(longest_list),
      m_http(options_of(m_login), cancel) {}

HttpReply Client::perform(const HttpRequest& request, bool repeatable) {
  for (std::size_t tries = 0;; ++tries) {
    const bool last = tries == k_pauses_ms.size();
    int pause = 0;
    try {
      HttpReply reply = m_http.perform(request);
      const bool again = is_rate_limit(reply) || (repeatable && is_busy(reply.status));
      if (!again || last) {
        return reply;
      }
      pause = pause_ms(reply, tries);
    } catch (const Error& error) {
      if (!repeatable || last || !error.transient() || error.kind() != ErrorKind::failed) {
        throw;
      }
      pause = k_pauses_ms.at(tries);
    }
    m_cancel.sleep_ms(pause);
  }
}

Error Client::refused_login(const HttpReply& reply) const {
  const std::string words = refusal_words(reply.body);
  const std::string object = fmt::format("{} at {}", m_login.object, m_login.url);
  if (reply.status == 401 || reply.status == 403) {
    return {ErrorKind::failed, sentence("Keystone refuses the login", words), object,
            m_login.application_credential.empty()
                ? "check user, secret, project, and their domains (user_domain, project_domain)"
                : "check application_credential and secret, and that it has not expired"};
  }
  if (reply.status == 404 || reply.status == 300) {
    return {ErrorKind::usage, fmt::format("no Keystone v3 answers there (HTTP {})", reply.status),
            object, "check endpoint: it is what OS_AUTH_URL is for the openstack command"};
  }
  const bool passes = is_busy(reply.status) || reply.status >= 500;
  return {ErrorKind::failed, sentence(fmt::format("Keystone answers HTTP {}", reply.status), words),
          object, passes ? "see Keystone's log" : "check endpoint",
          passes ? Transience::transient : Transience::permanent};
}

Client::Session Client::log_in() {
  const std::string body = login_body(m_login);
  HttpRequest request;
  request.method = "POST";
  request.url = m_login.url + "/auth/tokens";
  request.headers = {{"Content-Type", "application/json"}, {"Accept", "application/json"}};
  request.body = std::as_bytes(std::span(body));
  request.limit = k_longest_reply;
  const HttpReply reply = perform(request, true);
  if (reply.status != 201 && reply.status != 200) {
    throw refused_login(reply);
  }
  Session session;
  session.id = std::string(reply.header("x-subject-token"));
  session.token = parse_token(reply.body, m_login.object + ", Keystone's reply to the login");
  if (session.id.empty()) {
    throw Error(ErrorKind::failed, "Keystone's reply to the login has no X-Subject-Token",
                m_login.object, "something in between takes headers away");
  }
  return session;
}

std::shared_ptr<const Client::Session> Client::session() {
  const std::lock_guard lock(m_mutex);
  if (!m_session) {
    m_session = std::make_shared<const Session>(log_in());
  }
  return m_session;
}

void Client::forget(const std::shared_ptr<const Session>& session) {
  const std::lock_guard lock(m_mutex);
  if (m_session == session) {
    m_session.reset();
  }
}

Token Client::token() {
  return session()->token;
}

std::string Client::object_of(const ApiCall& call) const {
  return fmt::format("{}, {} to {}", m_login.object, words_of(call.service).name, call.what);
}

void Client::check_length(std::size_t items, std::size_t pages, const ApiCall& call) const {
  if (items > m_longest_list || pages > m_longest_list) {
    throw Error(ErrorKind::failed,
                fmt::format("the list does not end: {} entries in {} pages so far, of {} at most",
                            items, pages, m_longest_list),
                object_of(call), "see whether that service, or a proxy before it, is broken");
  }
}

std::string Client::microversion(Service service) {
  const std::lock_guard lock(m_mutex);
  const auto settled = m_versions.find(service);
  if (settled != m_versions.end()) {
    return settled->second;
  }
  const char* const newest = words_of(service).microversion;
  return newest == nullptr ? "" : newest;
}

bool Client::settle_for_older(Service service, const HttpReply& refusal) {
  const auto newest = newest_microversion(refusal.body);
  const std::string_view oldest = service == Service::volume ? k_oldest_cinder : k_oldest_nova;
  if (!newest || is_older_microversion(*newest, oldest) ||
      !is_older_microversion(*newest, microversion(service))) {
    return false;
  }
  const std::lock_guard lock(m_mutex);
  m_versions[service] = *newest;
  return true;
}

HttpReply Client::attempt(const ApiCall& call) {
  HttpReply reply;
  bool renewed = false;
  for (;;) {
    const auto session = this->session();
    const std::string url = find_endpoint(session->token, call.service, m_login.region,
                                          m_login.interface, m_login.object) +
                            (call.service == Service::image ? "/v2" : "") + call.path;
    HttpRequest request;
    request.method = call.method;
    request.url = url;
    request.headers = {{"X-Auth-Token", session->id}, {"Accept", "application/json"}};
    if (const std::string version = microversion(call.service); !version.empty()) {
      request.headers.push_back(
          {"OpenStack-API-Version", fmt::format("{} {}", words_of(call.service).type, version)});
    }
    if (!call.body.empty()) {
      request.headers.push_back({"Content-Type", "application/json"});
      request.body = std::as_bytes(std::span(call.body));
    }
    request.limit = k_longest_reply;
    // A kept connection that turns out to be closed would have a POST sent twice.
    request.connection = call.method == "POST" ? Connection::fresh : Connection::kept;
    reply = perform(request, call.method != "POST");
    if (reply.status == 401 && !renewed) {
      forget(session);
      renewed = true;
    } else if (reply.status != 406 || !settle_for_older(call.service, reply)) {
      return reply;
    }
  }
}

ApiError Client::refusal(const ApiCall& call, const HttpReply& reply) const {
  const char* const name = words_of(call.service).name;
  const std::string words = refusal_words(reply.body);
  const std::string object = object_of(call);
  const auto make = [&](const std::string& what, std::string hint,
                        Transience transience = Transience::permanent) {
    return ApiError(reply.status, ErrorKind::failed, sentence(what, words), object, std::move(hint),
                    transience);
  };
  switch (reply.status) {
    case 401:
      return make(fmt::format("{} does not accept a new token", name),
                  "see its log: it may ask another Keystone, or its own password may be wrong");
    case 403:
      return make("the user may not do that",
                  "hamal-openstack(7), ROLES, says what the user needs");
    case 404:
      return make("not found", "it may have been deleted meanwhile");
    case 406:
      return make(fmt::format("{} is too old", name),
                  call.service == Service::volume ? "volume API 3.27 or newer is needed (Ocata)"
                                                  : "compute API 2.3 or newer is needed");
    case 413:
      if (!is_rate_limit(reply)) {
        return make("the project's quota is used up",
                    "delete what nobody needs, or have the quota raised");
      }
      [[fallthrough]];
    case 429:
      return make(fmt::format("{} is asked too often", name), "run it again later",
                  Transience::transient);
    default:
      break;
  }
  if (reply.status >= 500) {
    return make(fmt::format("{} answers HTTP {}", name, reply.status), "see its log",
                Transience::transient);
  }
  return make(fmt::format("{} refuses (HTTP {})", name, reply.status), "");
}

std::string Client::call(const ApiCall& call) {
  HttpReply reply = attempt(call);
  if (reply.status < 200 || reply.status > 299) {
    throw refusal(call, reply);
  }
  if (reply.fit == BodyFit::too_large) {
    throw Error(ErrorKind::failed, "the reply is too long", object_of(call));
  }
  return std::move(reply.body);
}

}  // namespace hamal::openstack
