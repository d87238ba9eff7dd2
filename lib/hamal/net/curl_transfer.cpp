#include "hamal/net/curl_transfer.hpp"

#include <algorithm>
#include <cstring>

#include "hamal/util/error.hpp"
#include "hamal/util/text.hpp"

namespace hamal {
namespace {

/// More headers than any service sends.
constexpr std::size_t k_most_headers = 200;
constexpr std::uint64_t k_longest_refusal = 1U << 20U;
constexpr long k_buffer = 512L << 10U;
constexpr long k_clean_up_ms = 5000;

/// Scheme and host: the rest of a URL may be long, and nobody's business.
std::string host_of(const std::string& url) {
  const std::size_t scheme = url.find("://");
  return url.substr(0, url.find_first_of("/?", scheme == std::string::npos ? 0 : scheme + 3));
}

struct Meaning {
  const char* what;
  const char* hint;
  Transience transience;
};

Meaning meaning_of(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return {"the TLS certificate is not to be trusted",
              "check the host name in endpoint, and ca_file", Transience::permanent};
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
      return {"the TLS peer does not have the public key that it should have",
              "somebody is in between, or the service has a new key: get its public key anew",
              Transience::permanent};
    case CURLE_SSL_CACERT_BADFILE:
      return {"the certificates that are trusted cannot be read", "check ca_file",
              Transience::permanent};
    case CURLE_SSL_CONNECT_ERROR:
      return {"TLS cannot be negotiated", "check that endpoint is https:// and not http://",
              Transience::transient};
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return {"the host's name cannot be resolved", "check endpoint and the resolver",
              Transience::transient};
    case CURLE_COULDNT_CONNECT:
      return {"cannot connect", "see whether the service runs", Transience::transient};
    case CURLE_OPERATION_TIMEDOUT:
      return {"timed out", "", Transience::transient};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {"not an address", "check endpoint", Transience::permanent};
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return {"the connection was cut", "", Transience::transient};
    default:
      return {"the request failed", "", Transience::transient};
  }
}

template <typename Value>
void set(CURL* easy, CURLoption option, Value value) {
  if (const CURLcode code = curl_easy_setopt(easy, option, value); code != CURLE_OK) {
    throw Error(ErrorKind::failed, "libcurl cannot do what is asked of it",
                curl_easy_strerror(code));
  }
}

}  // namespace

CurlTransfer::CurlTransfer(const HttpRequest& request, const HttpOptions& options)
    : m_request(request),
      m_easy(curl_easy_init()),
      m_peer{.wanted = options.thumbprint, .seen = {}},
      m_trouble(CURL_ERROR_SIZE, '\0') {
  if (!m_easy) {
    throw Error(ErrorKind::failed, "libcurl cannot be used", "curl_easy_init");
  }
  CURL* const easy = m_easy.get();
  set(easy, CURLOPT_URL, request.url.c_str());
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_ERRORBUFFER, m_trouble.data());
  set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options.pinned_key.empty()) {
    set(easy, CURLOPT_PINNEDPUBLICKEY, options.pinned_key.c_str());
    set(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    set(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (!options.thumbprint.empty()) {
    set(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    set(easy, CURLOPT_SSL_CTX_FUNCTION, &CurlTransfer::on_tls);
    set(easy, CURLOPT_SSL_CTX_DATA, static_cast<void*>(this));
  }
  if (!options.ca_file.empty()) {
    set(easy, CURLOPT_CAINFO, options.ca_file.c_str());
    set(easy, CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  set(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(easy, CURLOPT_LOW_SPEED_TIME,
      std::max(1L, static_cast<long>(options.idle_timeout.count() / 1000)));
  if (request.when_stopped == WhenStopped::go_on) {
    set(easy, CURLOPT_TIMEOUT_MS, k_clean_up_ms);
  } else if (request.timeout.count() > 0) {
    set(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  }
  if (request.connection == Connection::fresh) {
    set(easy, CURLOPT_FRESH_CONNECT, 1L);
  }
  set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  set(easy, CURLOPT_BUFFERSIZE, k_buffer);
  set(easy, CURLOPT_WRITEFUNCTION, &CurlTransfer::on_write);
  set(easy, CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(easy, CURLOPT_HEADERFUNCTION, &CurlTransfer::on_header);
  set(easy, CURLOPT_HEADERDATA, static_cast<void*>(this));
  set_method();
  set_headers(options);
  set_addresses(options.mappings);
}

void CurlTransfer::set_addresses(const std::vector<HostMapping>& mappings) {
  constexpr std::string_view k_scheme = "https://";
  if (mappings.empty() || !m_request.url.starts_with(k_scheme)) {
    return;
  }
  const std::string place = host_of(m_request.url).substr(k_scheme.size());
  const std::size_t colon = place.rfind(':');
  const bool has_port = colon != std::string::npos && place.back() != ']';
  const std::string host = to_lower(place.substr(0, has_port ? colon : place.size()));
  const auto found = std::find_if(mappings.begin(), mappings.end(),
                                  [&host](const HostMapping& one) { return one.host == host; });
  if (found == mappings.end()) {
    return;
  }
  std::string entry = host + ":" + (has_port ? place.substr(colon + 1) : "443") + ":";
  for (const std::string& address : found->addresses) {
    const bool v6 = address.find(':') != std::string::npos;
    entry += (entry.back() == ':' ? "" : ",") + (v6 ? "[" + address + "]" : address);
  }
  m_addresses.reset(curl_slist_append(nullptr, entry.c_str()));
  set(m_easy.get(), CURLOPT_RESOLVE, m_addresses.get());
}

void CurlTransfer::set_method() {
  CURL* const easy = m_easy.get();
  if (m_request.method == "HEAD") {
    set(easy, CURLOPT_NOBODY, 1L);
  } else if (m_request.method == "PUT" || m_request.method == "POST") {
    set(easy, CURLOPT_UPLOAD, 1L);
    set(easy, CURLOPT_UPLOAD_BUFFERSIZE, k_buffer);
    set(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(m_request.body.size()));
    set(easy, CURLOPT_READFUNCTION, &CurlTransfer::on_read);
    set(easy, CURLOPT_READDATA, static_cast<void*>(this));
    // A kept connection may turn out to be closed: curl then sends the body again on a new one.
    set(easy, CURLOPT_SEEKFUNCTION, &CurlTransfer::on_seek);
    set(easy, CURLOPT_SEEKDATA, static_cast<void*>(this));
  }
  if (m_request.method != "HEAD") {
    set(easy, CURLOPT_CUSTOMREQUEST, m_request.method.c_str());
  }
}

void CurlTransfer::set_headers(const HttpOptions& options) {
  const auto append = [this](const std::string& line) {
    curl_slist* const longer = curl_slist_append(m_headers.get(), line.c_str());
    if (longer == nullptr) {
      throw std::bad_alloc();
    }
    static_cast<void>(m_headers.release());  // it is the beginning of the longer one
    m_headers.reset(longer);
  };
  for (const HttpHeader& header : m_request.headers) {
    // curl takes "Name:" for "leave it away", and "Name;" for an empty value.
    append(header.value.empty() ? header.name + ";" : header.name + ": " + header.value);
  }
  append("Expect:");  // a round trip per request, against the body of a rare refusal
  set(m_easy.get(), CURLOPT_HTTPHEADER, m_headers.get());
  set(m_easy.get(), CURLOPT_USERAGENT, options.user_agent.c_str());
}

std::size_t CurlTransfer::on_read(char* into, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<CurlTransfer*>(self);
  const auto rest = transfer.m_request.body.subspan(transfer.m_sent);
  const std::size_t length = std::min(rest.size(), size * count);
  std::copy_n(rest.begin(), length, reinterpret_cast<std::byte*>(into));  // NOLINT: curl's bytes
  transfer.m_sent += length;
  return length;
}

int CurlTransfer::on_seek(void* self, curl_off_t offset, int origin) {
  auto& transfer = *static_cast<CurlTransfer*>(self);
  if (origin != SEEK_SET || offset < 0 ||
      static_cast<std::size_t>(offset) > transfer.m_request.body.size()) {
    return CURL_SEEKFUNC_FAIL;
  }
  transfer.m_sent = static_cast<std::size_t>(offset);
  return CURL_SEEKFUNC_OK;
}

std::size_t CurlTransfer::on_write(char* bytes, std::size_t size, std::size_t count, void* self) {
  return static_cast<CurlTransfer*>(self)->take_body({bytes, size * count});
}

std::size_t CurlTransfer::on_header(char* bytes, std::size_t size, std::size_t count, void* self) {
  static_cast<CurlTransfer*>(self)->take_header({bytes, size * count});
  return size * count;
}

// The handshake belongs to the transfer that makes the connection: nobody else uses it before.
CURLcode CurlTransfer::on_tls(CURL* /*easy*/, void* context, void* self) {
  check_by_thumbprint(context, static_cast<CurlTransfer*>(self)->m_peer);
  return CURLE_OK;
}

std::size_t CurlTransfer::take_body(std::string_view bytes) {
  const bool wanted = m_reply.status == 200 || m_reply.status == 206;
  if (wanted && !m_request.into.empty()) {
    if (bytes.size() > m_request.into.size() - m_reply.into_size) {
      m_reply.fit = BodyFit::too_large;
      return 0;
    }
    std::memcpy(m_request.into.data() + m_reply.into_size, bytes.data(), bytes.size());
    m_reply.into_size += bytes.size();
    return bytes.size();
  }
  const std::uint64_t limit = wanted ? m_request.limit : k_longest_refusal;
  if (bytes.size() > limit - m_reply.body.size()) {
    m_reply.fit = BodyFit::too_large;
    return 0;
  }
  m_reply.body.append(bytes);
  return bytes.size();
}

void CurlTransfer::take_header(std::string_view line) {
  line = trim(line);
  if (line.starts_with("HTTP/")) {  // of a 100 Continue, then of the reply
    m_reply.headers.clear();
    long status = 0;
    curl_easy_getinfo(m_easy.get(), CURLINFO_RESPONSE_CODE, &status);
    m_reply.status = static_cast<int>(status);
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon != std::string_view::npos && m_reply.headers.size() < k_most_headers) {
    m_reply.headers.push_back(
        {to_lower(trim(line.substr(0, colon))), std::string(trim(line.substr(colon + 1)))});
  }
}

HttpReply CurlTransfer::take_reply() {
  if (result == CURLE_OK || (result == CURLE_WRITE_ERROR && m_reply.fit == BodyFit::too_large)) {
    long status = 0;
    curl_easy_getinfo(m_easy.get(), CURLINFO_RESPONSE_CODE, &status);
    m_reply.status = static_cast<int>(status);
    return std::move(m_reply);
  }
  if (!m_peer.seen.empty() && m_peer.seen != m_peer.wanted) {
    throw Error(ErrorKind::failed,
                "the TLS peer's certificate is another one, with the thumbprint " +
                    show_thumbprint(m_peer.seen),
                host_of(m_request.url),
                "somebody is in between, or the certificate was renewed: compare it on the server, "
                "then change thumbprint");
  }
  const Meaning meaning = meaning_of(result);
  const std::string more = m_trouble.substr(0, m_trouble.find('\0'));
  throw Error(ErrorKind::failed,
              std::string(meaning.what) + " (" +
                  escape_control(more.empty() ? curl_easy_strerror(result) : more) + ")",
              host_of(m_request.url), meaning.hint, meaning.transience);
}

}  // namespace hamal
