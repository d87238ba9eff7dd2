#include "hamal/net/sigv4.hpp"

#include <algorithm>
#include <map>

#include "hamal/net/digest.hpp"
#include "hamal/net/http_time.hpp"
#include "hamal/util/text.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

constexpr const char* k_algorithm = "AWS4-HMAC-SHA256";

/// Without white space at the ends, and one space for any inside.
std::string canonical_value(std::string_view value) {
  std::string result;
  for (const char c : trim(value)) {
    const bool space = c == ' ' || c == '\t';
    if (!space || !result.ends_with(' ')) {
      result += space ? ' ' : c;
    }
  }
  return result;
}

/// By name, values of one name joined in their order.
std::map<std::string, std::string> canonical_headers(const std::vector<HttpHeader>& headers) {
  std::map<std::string, std::string> sorted;
  for (const HttpHeader& header : headers) {
    const auto [at, is_new] =
        sorted.try_emplace(to_lower(header.name), canonical_value(header.value));
    if (!is_new) {
      at->second += "," + canonical_value(header.value);
    }
  }
  return sorted;
}

std::string names_of(const std::map<std::string, std::string>& headers) {
  std::string names;
  for (const auto& [name, value] : headers) {
    names += (names.empty() ? "" : ";") + name;
  }
  return names;
}

}  // namespace

std::string canonical_query(const HttpQuery& query) {
  HttpQuery encoded;
  for (const auto& [name, value] : query) {
    encoded.emplace_back(percent_encode(name), percent_encode(value));
  }
  std::sort(encoded.begin(), encoded.end());
  std::string text;
  for (const auto& [name, value] : encoded) {
    text += text.empty() ? "" : "&";
    text.append(name).append("=").append(value);
  }
  return text;
}

std::string canonical_request(const RequestToSign& request) {
  const auto headers = canonical_headers(request.headers);
  std::string text =
      request.method + "\n" + request.path + "\n" + canonical_query(request.query) + "\n";
  for (const auto& [name, value] : headers) {
    text.append(name).append(":").append(value).append("\n");
  }
  return text + "\n" + names_of(headers) + "\n" + request.payload_hash;
}

std::string authorization(const RequestToSign& request, const SigningKey& key,
                          std::chrono::system_clock::time_point when) {
  const std::string time = basic_iso_time(when);
  const std::string date = time.substr(0, 8);
  const std::string scope = date + "/" + key.region + "/" + key.service + "/aws4_request";
  const std::string to_sign = std::string(k_algorithm) + "\n" + time + "\n" + scope + "\n" +
                              to_hex(sha256(canonical_request(request)));
  const std::string first = "AWS4" + key.secret_key;
  Sha256 derived = hmac_sha256(std::as_bytes(std::span(first)), date);
  for (const std::string& part : {key.region, key.service, std::string("aws4_request")}) {
    derived = hmac_sha256(derived, part);
  }
  return std::string(k_algorithm) + " Credential=" + key.access_key + "/" + scope +
         ", SignedHeaders=" + names_of(canonical_headers(request.headers)) +
         ", Signature=" + to_hex(hmac_sha256(derived, to_sign));
}

}  // namespace hamal
