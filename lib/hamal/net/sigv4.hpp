// Signature Version 4 of AWS, in the Authorization header.
#pragma once
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "hamal/net/http_client.hpp"

namespace hamal {

struct SigningKey {
  std::string access_key;
  std::string secret_key;
  std::string region;
  std::string service = "s3";
};

/// Names and values as they are meant, not encoded; in any order.
using HttpQuery = std::vector<std::pair<std::string, std::string>>;

struct RequestToSign {
  std::string method;
  std::string path;  ///< percent-encoded as it is sent, "/" at least
  HttpQuery query;
  std::vector<HttpHeader> headers;  ///< all are signed; host and x-amz-date among them
  std::string payload_hash;         ///< hexadecimal SHA-256 of the body
};

/// "a=1&b=", sorted and encoded: for the URL, too.
std::string canonical_query(const HttpQuery& query);
std::string canonical_request(const RequestToSign& request);
/// The value of the Authorization header. `when` is that of x-amz-date.
std::string authorization(const RequestToSign& request, const SigningKey& key,
                          std::chrono::system_clock::time_point when);

}  // namespace hamal
