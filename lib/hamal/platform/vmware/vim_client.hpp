// A session at a vCenter or an ESXi host: logs in when first needed, renews what expired, ends what
// it began.
#pragma once
#include <chrono>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "hamal/config/config.hpp"
#include "hamal/net/http_client.hpp"
#include "hamal/platform/vmware/session_slot.hpp"
#include "hamal/platform/vmware/vim_reply.hpp"
#include "hamal/platform/vmware/vim_request.hpp"
#include "hamal/util/cancel.hpp"

namespace hamal::vmware {

struct VimEndpoint {
  std::string base;  ///< https://HOST[:PORT]
  std::string user;
  SecretReference secret;
  std::string ca_file;      ///< empty: the system's certificates
  std::string thumbprint;   ///< of parse_thumbprint(); empty: the certificate's issuer counts
  std::string object;       ///< "[platform NAME]", for messages
  SessionLimit sessions{};  ///< none: as many as are asked for
  std::vector<HostMapping> mappings{};  ///< addresses of hosts, instead of the resolver's
};

/// Whether a call may be made again when its reply is lost: not one that would create twice.
enum class Repeat { no, yes };

enum class ApiType { vcenter, esxi };

struct ServiceContent {
  ApiType type = ApiType::vcenter;
  std::string name;         ///< the product's full name
  std::string api_version;  ///< "8.0.1.0"
  ManagedObject root_folder;
  ManagedObject property_collector;
  ManagedObject view_manager;
  ManagedObject search_index;
  ManagedObject session_manager;
  ManagedObject event_manager;  ///< empty: the server has none
};

/// Thread-safe. Errors: VimFault for what the server answers, Error for what is no answer.
class VimClient {
 public:
  /// The token outlives the client. The first call takes one of the endpoint's sessions, and waits
  /// for it.
  VimClient(VimEndpoint endpoint, const CancelToken& cancel);
  /// Logs out, for a few seconds at most; a session that stays ends by itself after 30 minutes.
  ~VimClient();
  VimClient(const VimClient&) = delete;
  VimClient& operator=(const VimClient&) = delete;

  const VimEndpoint& endpoint() const noexcept { return m_endpoint; }
  const CancelToken& cancel() const noexcept { return m_cancel; }
  const ServiceContent& content();
  /// The response's element. An expired session is renewed, and the call made again if it may be:
  /// else it throws NotAuthenticated with the new session ready. So with a lost connection.
  XmlElement call(const VimRequest& request, Repeat repeat);
  /// GET of a path with this session's cookie; a range of bytes goes into `into`. A session that
  /// is not accepted is renewed once.
  HttpReply get(const std::string& path_and_query, std::uint64_t offset, std::span<std::byte> into);

 private:
  XmlElement exchange(const VimRequest& request, const std::string& cookie, Connection connection,
                      WhenStopped when_stopped, std::string* new_cookie);
  XmlElement attempt(const VimRequest& request, Repeat repeat);
  std::string cookie();
  void forget(const std::string& cookie);

  VimEndpoint m_endpoint;
  const CancelToken& m_cancel;
  HttpClient m_http;
  std::mutex m_mutex;  ///< of the rest
  bool m_known = false;
  ServiceContent m_content;
  std::string m_action;              ///< the version that is spoken
  std::string m_cookie;              ///< empty: logged out
  std::shared_ptr<FileLock> m_slot;  ///< from the first session on
};

}  // namespace hamal::vmware
