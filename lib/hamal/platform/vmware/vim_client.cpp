// The cookie is kept word for word: vCenter quotes it and wants the quotes back.
#include "hamal/platform/vmware/vim_client.hpp"

#include <fmt/core.h>

#include <array>
#include <charconv>

#include "hamal/util/text.hpp"

namespace hamal::vmware {
namespace {

constexpr std::uint64_t k_longest_reply = 64U << 20U;
constexpr std::string_view k_cookie_name = "vmware_soap_session=";
/// Every version that is served speaks it; the other one knows encrypted disks.
constexpr const char* k_oldest_action = "urn:vim25/5.5";
constexpr const char* k_action = "urn:vim25/6.5";
constexpr std::array k_pauses_ms{250, 1000};
const ManagedObject k_service_instance{"ServiceInstance", "ServiceInstance"};

HttpOptions options_of(const VimEndpoint& endpoint) {
  HttpOptions options;
  options.ca_file = endpoint.ca_file;
  options.thumbprint = endpoint.thumbprint;
  options.mappings = endpoint.mappings;
  // A call is answered when the server has done it.
  options.idle_timeout = std::chrono::minutes(5);
  return options;
}

std::string cookie_in(const HttpReply& reply) {
  for (const HttpHeader& header : reply.headers) {
    if (header.name == "set-cookie" && header.value.starts_with(k_cookie_name)) {
      return header.value.substr(0, header.value.find(';'));
    }
  }
  return {};
}

bool is_at_least(const std::string& version, int major, int minor) {
  int found[2] = {0, 0};
  const char* at = version.data();
  const char* const end = at + version.size();
  for (int& part : found) {
    at = std::from_chars(at, end, part).ptr;
    at += at != end && *at == '.' ? 1 : 0;
  }
  return found[0] > major || (found[0] == major && found[1] >= minor);
}

ManagedObject reference_in(const XmlElement& content, const char* name, const std::string& object) {
  const XmlElement* const found = content.find(name);
  if (found == nullptr || found->text.empty()) {
    throw Error(ErrorKind::failed, fmt::format("the server names no {}", name), object,
                "check that endpoint is that of a vCenter or an ESXi host");
  }
  return found->reference();
}

ServiceContent service_content(const XmlElement& reply, const std::string& object) {
  static const XmlElement none;
  const XmlElement* const value = reply.find("returnval");
  const XmlElement& content = value == nullptr ? none : *value;
  const XmlElement* const about = content.find("about");
  ServiceContent result;
  if (about != nullptr) {
    result.type = about->text_of("apiType") == "HostAgent" ? ApiType::esxi : ApiType::vcenter;
    result.name = about->text_of("fullName");
    result.api_version = about->text_of("apiVersion");
  }
  result.root_folder = reference_in(content, "rootFolder", object);
  result.property_collector = reference_in(content, "propertyCollector", object);
  result.view_manager = reference_in(content, "viewManager", object);
  result.search_index = reference_in(content, "searchIndex", object);
  result.session_manager = reference_in(content, "sessionManager", object);
  if (const XmlElement* const events = content.find("eventManager")) {
    result.event_manager = events->reference();
  }
  return result;
}

bool is_expired(const Error& error) {
  const auto* const fault = dynamic_cast<const VimFault*>(&error);
  return fault != nullptr && fault->fault() == "NotAuthenticated";
}

bool is_fault(const Error& error) {
  return dynamic_cast<const VimFault*>(&error) != nullptr;
}

}  // namespace

VimClient::VimClient(VimEndpoint endpoint, const CancelToken& cancel)
    : m_endpoint(std::move(endpoint)),
      m_cancel(cancel),
      m_http(options_of(m_endpoint), cancel),
      m_action(k_oldest_action) {}

VimClient::~VimClient() {
  if (m_cookie.empty()) {
    return;
  }
  try {
    exchange(VimRequest("Logout", m_content.session_manager), m_cookie, Connection::kept,
             WhenStopped::go_on, nullptr);
  } catch (const std::exception&) {  // NOLINT: it expires by itself
  }
}

XmlElement VimClient::exchange(const VimRequest& request, const std::string& cookie,
                               Connection connection, WhenStopped when_stopped,
                               std::string* new_cookie) {
  const std::string envelope = request.envelope();
  HttpRequest http;
  http.method = "POST";
  http.url = m_endpoint.base + "/sdk";
  http.headers = {{"Content-Type", "text/xml; charset=utf-8"}, {"SOAPAction", m_action}};
  if (!cookie.empty()) {
    http.headers.push_back({"Cookie", cookie});
  }
  http.body = std::as_bytes(std::span(envelope));
  http.limit = k_longest_reply;
  http.connection = connection;
  http.when_stopped = when_stopped;
  const HttpReply reply = m_http.perform(http);
  const std::string call = fmt::format("{}, {}", m_endpoint.base, request.call());
  // Faults have status 500.
  if (reply.status != 200 && (reply.status != 500 || reply.body.empty())) {
    throw Error(ErrorKind::failed, fmt::format("the server answers HTTP {}", reply.status), call,
                reply.status < 500 ? "check that endpoint is that of a vCenter or an ESXi host"
                                   : "it may be starting: see whether its client can log in",
                reply.status < 500 ? Transience::permanent : Transience::transient);
  }
  if (reply.fit == BodyFit::too_large) {
    throw Error(ErrorKind::failed, "a reply of more than 64 MiB", call);
  }
  XmlElement content = parse_vim_reply(reply.body, call);
  if (content.name != request.method() + "Response") {
    throw Error(
        ErrorKind::failed,
        fmt::format("a reply to something else: <{}>", escape_control(content.name.substr(0, 100))),
        call);
  }
  if (new_cookie != nullptr) {
    *new_cookie = cookie_in(reply);
  }
  return content;
}

const ServiceContent& VimClient::content() {
  const std::lock_guard lock(m_mutex);
  if (!m_known) {
    VimRequest request("RetrieveServiceContent", k_service_instance);
    m_content = service_content(exchange(request, {}, Connection::kept, WhenStopped::end, nullptr),
                                m_endpoint.object);
    m_action = is_at_least(m_content.api_version, 6, 5) ? k_action : k_oldest_action;
    m_known = true;
  }
  return m_content;
}

std::string VimClient::cookie() {
  content();
  const std::lock_guard lock(m_mutex);
  if (m_cookie.empty()) {
    if (!m_slot && !m_endpoint.sessions.lib_dir.empty()) {
      m_slot = take_session_slot(m_endpoint.sessions, m_endpoint.base, m_cancel);
    }
    VimRequest login("Login", m_content.session_manager);
    login.text("userName", m_endpoint.user)
        .text("password", resolve_secret(m_endpoint.secret, m_endpoint.object + " secret"));
    exchange(login, {}, Connection::kept, WhenStopped::end, &m_cookie);
    if (m_cookie.empty()) {
      throw Error(ErrorKind::failed, "the server gave no session", m_endpoint.base,
                  "something in between takes cookies away");
    }
  }
  return m_cookie;
}

void VimClient::forget(const std::string& cookie) {
  const std::lock_guard lock(m_mutex);
  if (m_cookie == cookie) {
    m_cookie.clear();
  }
}

XmlElement VimClient::attempt(const VimRequest& request, Repeat repeat) {
  std::string used = cookie();
  // A kept connection that turns out to be closed would have the call sent twice.
  const Connection connection = repeat == Repeat::yes ? Connection::kept : Connection::fresh;
  try {
    return exchange(request, used, connection, WhenStopped::end, nullptr);
  } catch (const VimFault& error) {
    if (!is_expired(error)) {
      throw;
    }
    forget(used);
    used = cookie();
    if (repeat == Repeat::no) {
      throw;
    }
  }
  return exchange(request, used, connection, WhenStopped::end, nullptr);
}

XmlElement VimClient::call(const VimRequest& request, Repeat repeat) {
  for (std::size_t tries = 0;; ++tries) {
    try {
      return attempt(request, repeat);
    } catch (const Error& error) {
      // What the server answered it answered; a connection may come back.
      if (repeat == Repeat::no || is_fault(error) || !error.transient() ||
          error.kind() != ErrorKind::failed || tries == k_pauses_ms.size()) {
        throw;
      }
    }
    m_cancel.sleep_ms(k_pauses_ms.at(tries));
  }
}

HttpReply VimClient::get(const std::string& path_and_query, std::uint64_t offset,
                         std::span<std::byte> into) {
  HttpReply reply;
  for (int tries = 0; tries < 2; ++tries) {
    const std::string used = cookie();
    HttpRequest http;
    http.method = "GET";
    http.url = m_endpoint.base + path_and_query;
    http.headers = {{"Cookie", used},
                    {"Range", fmt::format("bytes={}-{}", offset, offset + into.size() - 1)}};
    http.into = into;
    reply = m_http.perform(http);
    if (reply.status != 401) {
      break;
    }
    forget(used);
  }
  return reply;
}

}  // namespace hamal::vmware
