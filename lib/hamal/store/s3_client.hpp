// Signed requests to one bucket, repeated while that helps.
#pragma once
#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hamal/net/digest.hpp"
#include "hamal/net/http_client.hpp"
#include "hamal/net/sigv4.hpp"
#include "hamal/store/request_gate.hpp"
#include "hamal/store/s3_options.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

struct S3Request {
  std::string method;
  std::string key;  ///< in the bucket; empty: the bucket itself
  HttpQuery query;
  std::vector<HttpHeader> headers;  ///< besides those of every request
  std::span<const std::byte> body;
  std::optional<Sha256> digest;  ///< of the body, where it is known already
  std::span<std::byte> into;     ///< see HttpRequest
  std::uint64_t limit = 1U << 20U;
  /// Statuses that are an answer, besides 2xx.
  std::vector<int> answers;
  /// Throws the Error to end with when an answer cannot be believed; a few times the request is
  /// repeated first.
  std::function<void(const HttpReply&)> check;
  WhenStopped when_stopped = WhenStopped::end;
};

/// Thread-safe. What is repeated, with full jitter, until `retry_max` after the first failure:
/// transport failures, 408, 429, 500, 502, 503, 504, the codes that S3 says to repeat, and answers
/// that fail their check. 429, 503 and SlowDown also lower how many requests run at once. Redirects
/// are never followed: a signature goes to the configured host and no other. A clock that is wrong
/// is corrected by the service's Date, once in a row.
class S3Client {
 public:
  /// The token outlives the client.
  S3Client(S3Options options, const CancelToken& cancel);

  const S3Options& options() const noexcept { return m_options; }
  const CancelToken& cancel() const noexcept { return m_cancel; }

  /// A 2xx reply or one of `answers`. Throws Error: ErrorKind::usage for what the configuration
  /// must cure, ObjectMissing for NoSuchKey, transient once repeating was given up.
  HttpReply call(const S3Request& request);

  /// The URI of an object for messages.
  std::string name(const std::string& key_in_bucket) const;
  /// "s3:ENDPOINT/BUCKET[/PREFIX]"
  std::string canonical() const;
  /// How many requests may run at once just now.
  unsigned bound() const { return m_gate.bound(); }

 private:
  struct Attempt;
  HttpReply perform(const HttpRequest& http, const std::string& key);
  HttpReply send(const S3Request& request, const std::string& payload_hash);
  void attempt(const S3Request& request, const std::string& payload_hash, Attempt& result);
  void correct_clock(const HttpReply& reply, Attempt& result);

  const S3Options m_options;
  const CancelToken& m_cancel;
  HttpClient m_http;
  RequestGate m_gate;
  std::atomic<std::int64_t> m_clock_offset{0};  ///< seconds that the service is ahead
};

}  // namespace hamal
