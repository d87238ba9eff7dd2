#include "hamal/store/s3_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <optional>
#include <random>

#include "hamal/net/digest.hpp"
#include "hamal/net/http_time.hpp"
#include "hamal/store/object_store.hpp"
#include "hamal/store/s3_errors.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds k_first_pause{100};
constexpr milliseconds k_longest_pause{5000};
constexpr int k_most_doubtful = 4;
constexpr std::chrono::seconds k_longest_retry_after{30};

/// Full jitter: anywhere between nothing and a bound that doubles.
class Pauses {
 public:
  milliseconds next(std::chrono::seconds retry_after) {
    thread_local std::minstd_rand random{std::random_device{}()};
    const milliseconds pause(
        std::uniform_int_distribution<milliseconds::rep>(5, m_bound.count())(random));
    m_bound = std::min(m_bound * 2, k_longest_pause);
    return std::max<milliseconds>(pause, std::min(retry_after, k_longest_retry_after));
  }

 private:
  milliseconds m_bound = k_first_pause;
};

std::chrono::seconds retry_after(const HttpReply& reply) {
  const std::string_view text = reply.header("retry-after");
  unsigned seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);  // a date counts as nothing
  return std::chrono::seconds(std::min(seconds, 3600U));
}

}  // namespace

struct S3Client::Attempt {
  std::optional<HttpReply> reply;
  std::exception_ptr failure;
  bool repeat = false;
  bool at_once = false;   ///< repeated with a corrected clock
  bool doubtful = false;  ///< an answer that failed its check
  std::chrono::seconds pause_at_least{0};
};

S3Client::S3Client(S3Options options, const CancelToken& cancel)
    : m_options(std::move(options)),
      m_cancel(cancel),
      m_http({.ca_file = m_options.ca_file,
              .mappings = m_options.mappings,
              .connect_timeout = milliseconds(10'000),
              .idle_timeout = m_options.request_timeout,
              .user_agent = "hamal"},
             cancel),
      m_gate(m_options.parallel_requests, cancel) {}

std::string S3Client::name(const std::string& key_in_bucket) const {
  if (key_in_bucket.empty()) {
    return m_options.uri;
  }
  const std::size_t prefix = m_options.prefix.empty() ? 0 : m_options.prefix.size() + 1;
  return m_options.uri + (m_options.uri.ends_with('/') ? "" : "/") +
         key_in_bucket.substr(std::min(prefix, key_in_bucket.size()));
}

std::string S3Client::canonical() const {
  return "s3:" + m_options.scheme + "://" + m_options.host + "/" + m_options.bucket +
         (m_options.prefix.empty() ? "" : "/" + m_options.prefix);
}

// Which host did not answer is the transport's to say, which store and object that was is ours.
HttpReply S3Client::perform(const HttpRequest& http, const std::string& key) {
  try {
    return m_http.perform(http);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::failed) {
      throw;  // the token's
    }
    throw Error(error.kind(), error.object() + ": " + error.problem(), name(key), error.hint(),
                error.transient() ? Transience::transient : Transience::permanent);
  }
}

HttpReply S3Client::send(const S3Request& request, const std::string& payload_hash) {
  RequestToSign sign;
  sign.method = request.method;
  sign.query = request.query;
  sign.payload_hash = payload_hash;
  sign.path = "/";
  std::string host = m_options.host;
  if (m_options.virtual_style) {
    host = m_options.bucket + "." + host;
  } else {
    sign.path += percent_encode(m_options.bucket) + (request.key.empty() ? "" : "/");
  }
  sign.path += percent_encode(request.key, "/");
  const auto now = std::chrono::system_clock::now() + std::chrono::seconds(m_clock_offset.load());
  sign.headers = request.headers;
  sign.headers.push_back({"host", host});
  sign.headers.push_back({"x-amz-content-sha256", payload_hash});
  sign.headers.push_back({"x-amz-date", basic_iso_time(now)});
  if (!m_options.session_token.empty()) {
    sign.headers.push_back({"x-amz-security-token", m_options.session_token});
  }
  HttpRequest http;
  http.method = request.method;
  const std::string query = canonical_query(request.query);
  http.url = m_options.scheme + "://" + host + sign.path + (query.empty() ? "" : "?" + query);
  http.headers = sign.headers;
  http.headers.push_back(
      {"Authorization",
       authorization(sign, {m_options.access_key, m_options.secret_key, m_options.region}, now)});
  http.body = request.body;
  http.into = request.into;
  http.limit = request.limit;
  http.when_stopped = request.when_stopped;
  return perform(http, request.key);
}

void S3Client::correct_clock(const HttpReply& reply, Attempt& result) {
  const auto theirs = parse_http_date(reply.header("date"));
  if (!theirs) {
    return;
  }
  const auto ours = std::chrono::system_clock::now();
  const auto offset = std::chrono::round<std::chrono::seconds>(*theirs - ours).count();
  if (std::llabs(offset) < 60) {
    return;
  }
  const std::int64_t before = m_clock_offset.exchange(offset);
  // Not again and again: it may be the service that is confused.
  result.at_once = std::llabs(offset - before) > 60;
  result.repeat = result.at_once;
  result.failure = std::make_exception_ptr(Error(
      ErrorKind::failed,
      fmt::format("the service's clock and this host's differ by {} seconds", std::llabs(offset)),
      m_options.uri, "set the clock of this host (systemd-timesyncd, chrony)"));
}

void S3Client::attempt(const S3Request& request, const std::string& payload_hash, Attempt& result) {
  std::optional<RequestGate::Permit> permit;
  if (request.when_stopped == WhenStopped::end) {
    permit.emplace(m_gate);
  }
  try {
    HttpReply reply = send(request, payload_hash);
    const bool is_answer = (reply.status >= 200 && reply.status < 300) ||
                           std::find(request.answers.begin(), request.answers.end(),
                                     reply.status) != request.answers.end();
    if (is_answer) {
      if (permit) {
        permit->set(RequestGate::Outcome::fine);
      }
      try {
        if (request.check) {
          request.check(reply);
        }
      } catch (const Error&) {
        result.failure = std::current_exception();
        result.repeat = true;
        result.doubtful = true;
        return;
      }
      result.reply = std::move(reply);
      return;
    }
    S3Judgement judgement = judge_s3_reply(reply, m_options, name(request.key));
    if (permit && judgement.slow_down) {
      permit->set(RequestGate::Outcome::slow_down);
    }
    result.repeat = judgement.repeat;
    result.pause_at_least = retry_after(reply);
    if (judgement.missing) {
      throw ObjectMissing(name(request.key));
    }
    result.failure = std::make_exception_ptr(judgement.error);
    if (judgement.skewed) {
      correct_clock(reply, result);
    }
  } catch (const Error& error) {
    if (!error.transient()) {
      throw;
    }
    result.failure = std::current_exception();
    result.repeat = true;
  }
}

HttpReply S3Client::call(const S3Request& request) {
  const std::string payload_hash = to_hex(request.digest ? *request.digest : sha256(request.body));
  Pauses pauses;
  std::optional<steady_clock::time_point> give_up;
  int doubtful = 0;
  for (bool corrected = false;;) {
    Attempt result;
    attempt(request, payload_hash, result);
    if (result.reply) {
      return *std::move(result.reply);
    }
    if (!result.repeat || request.when_stopped == WhenStopped::go_on) {
      std::rethrow_exception(result.failure);
    }
    if (result.at_once && !corrected) {
      corrected = true;
      continue;
    }
    // A byte that is wrong on the wire is right the next time; one in the store stays wrong.
    if (result.doubtful && ++doubtful == k_most_doubtful) {
      std::rethrow_exception(result.failure);
    }
    if (!give_up) {
      give_up = steady_clock::now() + m_options.retry_max;
    }
    const milliseconds pause = pauses.next(result.pause_at_least);
    if (steady_clock::now() + pause >= *give_up) {
      std::rethrow_exception(result.failure);
    }
    m_cancel.sleep_ms(static_cast<int>(pause.count()));
  }
}

}  // namespace hamal
