// What refusals mean: which are repeated, which slow down, and what cures the others.
#include "hamal/store/s3_errors.hpp"

#include <gmock/gmock.h>

namespace hamal {
namespace {

using testing::HasSubstr;
using testing::Not;

S3Judgement judge(int status, const std::string& code, std::vector<HttpHeader> headers = {},
                  const std::string& more = "") {
  HttpReply reply;
  reply.status = status;
  reply.headers = std::move(headers);
  if (!code.empty()) {
    reply.body = "<Error><Code>" + code + "</Code><Message>as told</Message>" + more + "</Error>";
  }
  S3Options options;
  options.region = "here";
  return judge_s3_reply(reply, options, "s3://lab/x");
}

TEST(S3Errors, WhatMayPassIsRepeatedAndTransient) {
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    EXPECT_TRUE(judge(status, "").repeat) << status;
    EXPECT_TRUE(judge(status, "").error.transient()) << status;
  }
  for (const char* code : {"InternalError", "SlowDown", "RequestTimeout", "BadDigest",
                           "OperationAborted", "XAmzContentSHA256Mismatch"}) {
    EXPECT_TRUE(judge(400, code).repeat) << code;
  }
  EXPECT_FALSE(judge(400, "InvalidRequest").repeat);
  EXPECT_FALSE(judge(400, "InvalidRequest").error.transient());
}

// Whoever waits for a store that is away waits for one that is full, too.
TEST(S3Errors, AFullBucketIsTransientAndNotRepeated) {
  for (const auto& [status, code] :
       {std::pair(403, "QuotaExceeded"), {507, "XMinioStorageFull"}, {507, ""}}) {
    const S3Judgement judgement = judge(status, code);
    EXPECT_TRUE(judgement.error.transient()) << code;
    EXPECT_FALSE(judgement.repeat) << code;
    EXPECT_THAT(judgement.error.hint(), HasSubstr("quota")) << code;
  }
}

TEST(S3Errors, OnlyWhatAsksForLessSlowsDown) {
  EXPECT_TRUE(judge(429, "").slow_down);
  EXPECT_TRUE(judge(503, "").slow_down);
  EXPECT_TRUE(judge(400, "SlowDown").slow_down);
  EXPECT_FALSE(judge(500, "InternalError").slow_down);
}

TEST(S3Errors, WhatTheConfigurationMustCureNamesItsKey) {
  const std::pair<const char*, const char*> cures[] = {{"NoSuchBucket", "bucket"},
                                                       {"InvalidAccessKeyId", "access_key"},
                                                       {"SignatureDoesNotMatch", "secret_key"},
                                                       {"ExpiredToken", "session_token"},
                                                       {"NotImplemented", "hamal.conf(5)"}};
  for (const auto& [code, key] : cures) {
    const Error error = judge(403, code).error;
    EXPECT_EQ(error.kind(), ErrorKind::usage) << code;
    EXPECT_THAT(error.hint(), HasSubstr(key)) << code;
    EXPECT_THAT(error.what(), HasSubstr("s3://lab/x")) << code;
    EXPECT_THAT(error.problem(), HasSubstr(std::string(code) + ": as told")) << code;
  }
  EXPECT_EQ(judge(403, "AccessDenied").error.kind(), ErrorKind::failed);
}

TEST(S3Errors, AMissingObjectIsNoMissingBucket) {
  EXPECT_TRUE(judge(404, "NoSuchKey").missing);
  EXPECT_FALSE(judge(404, "NoSuchBucket").missing);
  EXPECT_FALSE(judge(404, "").missing);
}

TEST(S3Errors, AForbiddenHeadMayBeOurClock) {
  EXPECT_TRUE(judge(403, "").skewed);
  EXPECT_TRUE(judge(403, "RequestTimeTooSkewed").skewed);
  EXPECT_FALSE(judge(403, "AccessDenied").skewed);
}

TEST(S3Errors, RedirectsSayWhereAndAreNotFollowed) {
  const S3Judgement moved = judge(301, "PermanentRedirect", {{"x-amz-bucket-region", "there"}},
                                  "<Endpoint>s3.there.example</Endpoint>");
  EXPECT_FALSE(moved.repeat);
  EXPECT_EQ(moved.error.kind(), ErrorKind::usage);
  EXPECT_THAT(moved.error.hint(), HasSubstr("set region = there"));
  EXPECT_THAT(moved.error.hint(), HasSubstr("s3.there.example"));
  // Of a location the host alone: the rest may hold what is signed.
  const Error elsewhere =
      judge(307, "", {{"location", "https://other.example/b/k?X-Amz-Signature=abc"}}).error;
  EXPECT_THAT(elsewhere.hint(), HasSubstr("https://other.example"));
  EXPECT_THAT(elsewhere.what(), Not(HasSubstr("Signature")));
}

}  // namespace
}  // namespace hamal
