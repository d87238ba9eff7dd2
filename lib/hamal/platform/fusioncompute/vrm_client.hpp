// A session at a VRM: logs in when first needed, again before the session ends and when it is not
// accepted any more, and ends what it began.
#pragma once
#include <chrono>
#include <mutex>
#include <string>

#include "hamal/config/config.hpp"
#include "hamal/net/http_client.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal::fusioncompute {

struct VrmEndpoint {
  std::string base;  ///< https://HOST:PORT
  std::string user;
  SecretReference secret;
  std::string ca_file;         ///< empty: the system's certificates
  std::string thumbprint;      ///< of parse_thumbprint(); empty: the certificate's issuer counts
  std::string api_version;     ///< empty: the newest that is offered
  std::string auth_user_type;  ///< X-Auth-UserType; empty: not sent
  std::string auth_type;       ///< X-Auth-AuthType; empty: not sent
  std::string object;          ///< "[platform NAME]", for messages
};

/// Whether a call may be made again when its reply is lost: not one that would create twice.
enum class Repeat { no, yes };

/// Thread-safe. Errors: VrmError for what the server answers, Error for what is no answer
/// (transient when it may pass).
class VrmClient {
 public:
  /// The token outlives the client.
  VrmClient(VrmEndpoint endpoint, const CancelToken& cancel);
  /// Logs out, for a few seconds at most.
  ~VrmClient();
  VrmClient(const VrmClient&) = delete;
  VrmClient& operator=(const VrmClient&) = delete;

  const VrmEndpoint& endpoint() const noexcept { return m_endpoint; }
  const CancelToken& cancel() const noexcept { return m_cancel; }

  /// The body of the reply with status 200. `path` begins with /service; `body` is JSON or empty.
  std::string get(const std::string& path) { return call("GET", path, {}, Repeat::yes); }
  std::string call(const std::string& method, const std::string& path, const std::string& body,
                   Repeat repeat);

 private:
  struct Session {
    std::string token;
    std::chrono::steady_clock::time_point renew_at;
  };
  HttpReply send(const std::string& method, const std::string& path, const std::string& body,
                 const std::vector<HttpHeader>& more, Connection connection, WhenStopped stopped);
  std::string attempt(const std::string& method, const std::string& path, const std::string& body,
                      Repeat repeat);
  std::string accept(const std::string& version) const;
  void choose_version();
  std::string token();
  void forget(const std::string& token);
  /// For a few seconds at most, whatever the cancel token says.
  void end_session();

  VrmEndpoint m_endpoint;
  const CancelToken& m_cancel;
  HttpClient m_http;
  std::mutex m_mutex;  ///< of the rest
  std::string m_version;
  std::string m_login_uri = "/service/session";
  Session m_session;
};

/// The newest of versions like "v6.5", by their numbers; empty of none.
std::string newest_version(const std::vector<std::string>& versions);

}  // namespace hamal::fusioncompute
