#include "hamal/store/s3_errors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "hamal/store/s3_reply.hpp"
#include "hamal/util/text.hpp"

namespace hamal {
namespace {

constexpr std::array<std::string_view, 9> k_repeated_codes = {
    "InternalError",  "ServiceUnavailable",        "SlowDown",
    "RequestTimeout", "OperationAborted",          "ConditionalRequestConflict",
    "BadDigest",      "XAmzContentSHA256Mismatch", "Throttling"};

constexpr const char* k_make_room = "raise the quota, or remove what is not needed";
constexpr int k_insufficient_storage = 507;

struct Cure {
  std::string_view code;
  ErrorKind kind;
  const char* hint;
  bool full = false;  ///< no request is repeated for that, but whoever can wait does
};

constexpr Cure k_cures[] = {
    {"NoSuchBucket", ErrorKind::usage, "create the bucket, or correct bucket and endpoint"},
    {"InvalidBucketName", ErrorKind::usage, "correct bucket"},
    {"InvalidAccessKeyId", ErrorKind::usage, "correct access_key"},
    {"SignatureDoesNotMatch", ErrorKind::usage,
     "correct secret_key; it does not belong to access_key"},
    {"ExpiredToken", ErrorKind::usage, "renew session_token and the keys that belong to it"},
    {"InvalidToken", ErrorKind::usage, "correct session_token"},
    {"AccessDenied", ErrorKind::failed,
     "let the access key list the bucket and get and put its objects; see hamal.conf(5)"},
    {"AllAccessDisabled", ErrorKind::failed, "ask the owner of the bucket"},
    {"QuotaExceeded", ErrorKind::failed, k_make_room, true},
    {"XMinioStorageFull", ErrorKind::failed, k_make_room, true},
    {"EntityTooLarge", ErrorKind::failed, "the service takes no objects of this size"},
    {"NotImplemented", ErrorKind::usage, "the service lacks what Hamal needs; see hamal.conf(5)"},
    {"InvalidObjectState", ErrorKind::failed,
     "the object was moved to an archive; restore it, and keep lifecycle rules away from it"},
};

std::string words(const HttpReply& reply, const S3Refusal& refusal) {
  std::string text = fmt::format("refused with status {}", reply.status);
  if (!refusal.code.empty()) {
    text += ", " + refusal.code;
  }
  if (!refusal.message.empty() && refusal.message != "None" && refusal.message != refusal.code) {
    text += ": " + refusal.message;
  }
  return text;
}

bool is_elsewhere(const HttpReply& reply, const S3Refusal& refusal) {
  return (reply.status >= 300 && reply.status < 400) ||
         refusal.code == "AuthorizationHeaderMalformed" || refusal.code == "PermanentRedirect";
}

/// Never followed: the bucket is in another region, or somebody wants our signature.
Error elsewhere(const HttpReply& reply, const S3Refusal& refusal, const S3Options& options,
                const std::string& object) {
  std::string hint;
  const std::string region =
      refusal.region.empty() ? escape_control(reply.header("x-amz-bucket-region").substr(0, 100))
                             : refusal.region;
  if (!region.empty() && region != options.region) {
    hint = "set region = " + region;
  }
  if (!refusal.endpoint.empty()) {
    hint += (hint.empty() ? "set endpoint to that of " : ", and endpoint to that of ") +
            refusal.endpoint;
  } else if (const auto location = reply.header("location"); !location.empty()) {
    const std::size_t start = location.find("://");
    const std::string_view host = location.substr(
        0, location.find_first_of("/?", start == std::string_view::npos ? 0 : start + 3));
    hint +=
        (hint.empty() ? "it points to " : "; it points to ") + escape_control(host.substr(0, 200));
  }
  if (hint.empty()) {
    hint = "correct endpoint and region";
  }
  return {ErrorKind::usage, words(reply, refusal) + "; redirects are not followed", object, hint};
}

}  // namespace

S3Judgement judge_s3_reply(const HttpReply& reply, const S3Options& options,
                           const std::string& object) {
  const S3Refusal refusal = parse_s3_refusal(reply.body);
  const int status = reply.status;
  if (is_elsewhere(reply, refusal)) {
    return {elsewhere(reply, refusal, options, object)};
  }
  const bool repeat = status == 408 || status == 429 || status == 500 || status == 502 ||
                      status == 503 || status == 504 ||
                      std::find(k_repeated_codes.begin(), k_repeated_codes.end(), refusal.code) !=
                          k_repeated_codes.end();
  const auto* const cure =
      std::find_if(std::begin(k_cures), std::end(k_cures),
                   [&refusal](const Cure& one) { return one.code == refusal.code; });
  const bool known = cure != std::end(k_cures);
  const bool full = status == k_insufficient_storage || (known && cure->full);
  const char* hint = known  ? cure->hint
                     : full ? k_make_room
                     : refusal.code.empty() && status == 403
                         ? "check access_key, secret_key and the permissions of the key"
                         : "";
  S3Judgement judgement{Error(known ? cure->kind : ErrorKind::failed, words(reply, refusal), object,
                              hint,
                              repeat || full ? Transience::transient : Transience::permanent)};
  judgement.repeat = repeat;
  judgement.slow_down = status == 429 || status == 503 || refusal.code == "SlowDown";
  judgement.missing = refusal.code == "NoSuchKey";
  // The reply to a HEAD has no code.
  judgement.skewed =
      refusal.code == "RequestTimeTooSkewed" || (status == 403 && reply.body.empty());
  return judgement;
}

}  // namespace hamal
