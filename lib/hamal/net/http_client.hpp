// HTTP requests over few connections: one thread drives all, callers block.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/util/cancel.hpp"
#include "hamal/util/host_mapping.hpp"

namespace hamal {

struct HttpHeader {
  std::string name;
  std::string value;
};

enum class WhenStopped { end, go_on };
/// On a kept connection that turns out to be closed a request is sent again by itself; on a fresh
/// one it is sent once.
enum class Connection { kept, fresh };

struct HttpRequest {
  std::string method;  ///< GET, HEAD, PUT, POST or DELETE
  std::string url;     ///< https:// or http://, no credentials in it
  std::vector<HttpHeader> headers;
  std::span<const std::byte> body;  ///< of PUT and POST; outlives the call
  /// The body of a reply with status 200 or 206 is put here; what is more than that is too much.
  std::span<std::byte> into;
  /// The longest body of such a reply otherwise; any other one may have 1 MiB.
  std::uint64_t limit = 1U << 20U;
  /// go_on: to clean up after the cancel token was requested, for a few seconds.
  WhenStopped when_stopped = WhenStopped::end;
  /// The whole of it, reply included, is given up after so long; 0: no limit.
  std::chrono::milliseconds timeout{0};
  Connection connection = Connection::kept;
};

enum class BodyFit { whole, too_large };

struct HttpReply {
  int status = 0;
  std::vector<HttpHeader> headers;  ///< names in lower case
  std::string body;
  std::size_t into_size = 0;     ///< bytes that are in `into`
  BodyFit fit = BodyFit::whole;  ///< too_large: the rest was not read
  std::string_view header(std::string_view name) const noexcept;  ///< empty when there is none
};

struct HttpOptions {
  std::string ca_file;  ///< empty: the system's certificates
  /// public_key_pin() of the peer's key. Then the key alone says whether the peer is who it should
  /// be: neither its certificate's issuer, nor its names, nor its dates matter.
  std::string pinned_key = {};
  /// parse_thumbprint() of the peer's certificate. Then the certificate alone says whether the peer
  /// is who it should be, as with a key. At most one of the two is given.
  std::string thumbprint = {};
  /// Used in place of the resolver, for https:// alone: what proves who it is may be anywhere.
  std::vector<HostMapping> mappings = {};
  std::chrono::milliseconds connect_timeout{10'000};
  /// A request is given up on which nothing has moved for so long; whole seconds.
  std::chrono::milliseconds idle_timeout{30'000};
  std::string user_agent = "hamal";
};

/// Thread-safe. HTTP/1.1, connections are kept and used again, redirects are replies like any
/// other, TLS 1.2 and up with the peer's certificate and name verified. A reply shorter than it
/// says is no reply.
class HttpClient {
 public:
  /// The token outlives the client.
  HttpClient(HttpOptions options, const CancelToken& cancel);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// Any reply, whatever its status. Throws Error: transient when there was none (no connection, a
  /// cut one, a timeout), permanent when there can be none (an untrusted certificate); as
  /// CancelToken::check() does once stopped. Error texts name scheme and host, never more.
  HttpReply perform(const HttpRequest& request);

 private:
  class Loop;
  std::unique_ptr<Loop> m_loop;
};

}  // namespace hamal
