// One request as a curl handle. Private to this folder.
#pragma once
#include <curl/curl.h>

#include <memory>
#include <string>

#include "hamal/net/http_client.hpp"
#include "hamal/net/thumbprint.hpp"

namespace hamal {

class CurlTransfer {
 public:
  CurlTransfer(const HttpRequest& request, const HttpOptions& options);
  CurlTransfer(const CurlTransfer&) = delete;
  CurlTransfer& operator=(const CurlTransfer&) = delete;
  ~CurlTransfer() = default;

  CURL* easy() const noexcept { return m_easy.get(); }
  const HttpRequest& request() const noexcept { return m_request; }
  /// After it is done: the reply, or the Error that `result` stands for.
  HttpReply take_reply();

  // The loop's, under its mutex.
  bool done = false;
  CURLcode result = CURLE_OK;

 private:
  static std::size_t on_read(char* into, std::size_t size, std::size_t count, void* self);
  static int on_seek(void* self, curl_off_t offset, int origin);
  static std::size_t on_write(char* bytes, std::size_t size, std::size_t count, void* self);
  static std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* self);
  static CURLcode on_tls(CURL* easy, void* context, void* self);

  void set_method();
  void set_headers(const HttpOptions& options);
  void set_addresses(const std::vector<HostMapping>& mappings);
  std::size_t take_body(std::string_view bytes);
  void take_header(std::string_view line);

  struct FreeEasy {
    void operator()(CURL* easy) const noexcept { curl_easy_cleanup(easy); }
  };
  struct FreeList {
    void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
  };

  const HttpRequest& m_request;
  std::unique_ptr<CURL, FreeEasy> m_easy;
  std::unique_ptr<curl_slist, FreeList> m_headers;
  std::unique_ptr<curl_slist, FreeList> m_addresses;
  std::size_t m_sent = 0;
  HttpReply m_reply;
  PeerCertificate m_peer;
  std::string m_trouble;  ///< curl writes more here than its code says
};

}  // namespace hamal
