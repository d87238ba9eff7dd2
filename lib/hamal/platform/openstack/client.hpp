// One login to an OpenStack and the requests made with it.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "hamal/net/http_client.hpp"
#include "hamal/platform/openstack/catalog.hpp"
#include "hamal/platform/openstack/replies.hpp"
#include "hamal/platform/openstack/settings.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/units.hpp"

namespace hamal::openstack {

/// What a service answered instead of doing it.
class ApiError : public Error {
 public:
  ApiError(int status, ErrorKind kind, std::string what, std::string object, std::string hint,
           Transience transience)
      : Error(kind, std::move(what), std::move(object), std::move(hint), transience),
        m_status(status) {}
  int status() const noexcept { return m_status; }

 private:
  int m_status;
};

bool has_status(const Error& error, int status);

struct ApiCall {
  Service service = Service::volume;
  std::string method = "GET";
  std::string path;    ///< "/volumes/detail?limit=200"
  std::string body{};  ///< JSON
  std::string what;    ///< "list the volumes", for messages
};

/// Thread-safe. Logs in when it is first used, and again when the token has expired. What asks
/// changes nothing (GET) or may be repeated (PUT, DELETE) is tried again for a while when the
/// service is busy or away; a POST only when the service says that it did not look at it.
class Client {
 public:
  /// A list of more entries, or of more pages, is one of a server that is broken.
  static constexpr std::size_t k_longest_list = 1'000'000;

  /// The cancel token outlives the client. Lists end at `longest_list`.
  Client(LoginSettings login, const CancelToken& cancel, std::size_t longest_list = k_longest_list);

  /// The body of the reply. Throws ApiError for a refusal; Error for what is no answer.
  std::string call(const ApiCall& call);
  /// All pages of a list. Throws Error when a page leads to one that was there, or the list does
  /// not end.
  template <typename T>
  std::vector<T> list(ApiCall call, Page<T> (*parse)(std::string_view, const std::string&)) {
    std::vector<T> all;
    const std::string path = call.path.substr(0, call.path.find('?'));
    std::set<std::string> seen;
    for (;;) {
      Page<T> page = parse(this->call(call), object_of(call));
      check_length(all.size() + page.items.size(), seen.size() + 1, call);
      all.insert(all.end(), std::make_move_iterator(page.items.begin()),
                 std::make_move_iterator(page.items.end()));
      if (page.next.empty()) {
        return all;
      }
      if (!seen.insert(page.next).second) {
        throw Error(ErrorKind::failed, "the list never ends: a page leads to an earlier one",
                    object_of(call));
      }
      call.path = path + "?" + page.next;
    }
  }
  /// The same for lists whose pages do not say which one comes next: until one is empty. `path`
  /// has a "?", and T an id.
  template <typename T>
  std::vector<T> list_by_marker(ApiCall call,
                                Page<T> (*parse)(std::string_view, const std::string&)) {
    std::vector<T> all;
    const std::string path = call.path;
    std::set<std::string> seen;
    for (;;) {
      Page<T> page = parse(this->call(call), object_of(call));
      if (page.items.empty()) {
        return all;
      }
      check_length(all.size() + page.items.size(), seen.size() + 1, call);
      if (!seen.insert(page.items.back().id).second) {
        throw Error(ErrorKind::failed, "the list never ends: a page was there before",
                    object_of(call));
      }
      all.insert(all.end(), std::make_move_iterator(page.items.begin()),
                 std::make_move_iterator(page.items.end()));
      call.path = path + "&marker=" + percent_encode(all.back().id);
    }
  }
  /// Who is logged in.
  Token token();
  /// "Cinder, list the volumes", for errors about a reply.
  std::string object_of(const ApiCall& call) const;
  const CancelToken& cancel() const noexcept { return m_cancel; }
  const LoginSettings& login() const noexcept { return m_login; }

 private:
  struct Session {
    std::string id;  ///< of the token: a secret
    Token token;
  };
  void check_length(std::size_t items, std::size_t pages, const ApiCall& call) const;
  HttpReply perform(const HttpRequest& request, bool repeatable);
  std::shared_ptr<const Session> session();
  void forget(const std::shared_ptr<const Session>& session);
  Session log_in();
  HttpReply attempt(const ApiCall& call);
  std::string microversion(Service service);
  /// Whether an older one can be used from now on.
  bool settle_for_older(Service service, const HttpReply& refusal);
  Error refused_login(const HttpReply& reply) const;
  ApiError refusal(const ApiCall& call, const HttpReply& reply) const;

  LoginSettings m_login;
  const CancelToken& m_cancel;
  std::size_t m_longest_list;
  HttpClient m_http;
  std::mutex m_mutex;  ///< of the rest
  std::shared_ptr<const Session> m_session;
  std::map<Service, std::string> m_versions;
};

}  // namespace hamal::openstack
