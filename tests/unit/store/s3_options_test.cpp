// An [s3 NAME] section: what it becomes, and that what is wrong names its key and line.
#include "hamal/store/s3_options.hpp"

#include <gmock/gmock.h>

#include "hamal/block/endpoint.hpp"
#include "hamal/config/config.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using testing::HasSubstr;

S3Options read(const std::string& endpoint, const std::string& more = "bucket = b\n",
               const std::string& uri = "s3://lab/backups/one") {
  const Config config =
      parse_config("[s3 lab]\nendpoint = " + endpoint + "\naccess_key = K\nsecret_key = S\n" + more,
                   "test.conf");
  return read_s3_options(parse_endpoint(uri), config);
}

std::string refusal(const std::string& endpoint, const std::string& more = "bucket = b\n") {
  try {
    read(endpoint, more);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
}

TEST(S3Options, DefaultsAreThoseOfThePage) {
  const S3Options options = read("https://s3.example");
  EXPECT_EQ(options.uri, "s3://lab/backups/one");
  EXPECT_EQ(options.prefix, "backups/one");
  EXPECT_EQ(options.scheme, "https");
  EXPECT_EQ(options.host, "s3.example");
  EXPECT_EQ(options.region, "us-east-1");
  EXPECT_EQ(options.access_key, "K");
  EXPECT_EQ(options.secret_key, "S");
  EXPECT_EQ(options.session_token, "");
  EXPECT_FALSE(options.virtual_style);
  EXPECT_EQ(options.parallel_requests, 16U);
  EXPECT_EQ(options.retry_max, std::chrono::seconds(60));
  EXPECT_EQ(options.request_timeout, std::chrono::seconds(30));
  EXPECT_EQ(options.list_lag, std::chrono::seconds(0));
  EXPECT_EQ(options.part_size, 16U << 20);
  EXPECT_TRUE(options.remove_versions);
  EXPECT_TRUE(options.verify_etag);
  EXPECT_EQ(options.object_lock_mode, "GOVERNANCE");
}

TEST(S3Options, EveryKeyArrives) {
  const S3Options options =
      read("https://s3.example",
           "bucket = b\nregion = r\nsession_token = T\nca_file = /ca.pem\n"
           "addressing_style = virtual\nparallel_requests = 3\nretry_max = 5s\n"
           "request_timeout = 2s\nlist_lag = 1s\npart_size = 5M\nremove_versions = False\n"
           "verify_etag = False\nobject_lock_mode = compliance\n");
  EXPECT_EQ(options.region, "r");
  EXPECT_EQ(options.session_token, "T");
  EXPECT_EQ(options.ca_file, "/ca.pem");
  EXPECT_TRUE(options.virtual_style);
  EXPECT_EQ(options.parallel_requests, 3U);
  EXPECT_EQ(options.retry_max, std::chrono::seconds(5));
  EXPECT_EQ(options.request_timeout, std::chrono::seconds(2));
  EXPECT_EQ(options.list_lag, std::chrono::seconds(1));
  EXPECT_EQ(options.part_size, 5U << 20);
  EXPECT_FALSE(options.remove_versions);
  EXPECT_FALSE(options.verify_etag);
  EXPECT_EQ(options.object_lock_mode, "COMPLIANCE");
}

TEST(S3Options, OneServiceHasOneHost) {
  for (const char* same : {"https://S3.Example", "https://s3.example/", "https://s3.example:443"}) {
    EXPECT_EQ(read(same).host, "s3.example") << same;
  }
  EXPECT_EQ(read("http://localhost:80").host, "localhost");
  EXPECT_EQ(read("http://localhost:443").host, "localhost:443");
  EXPECT_EQ(read("https://s3.example:8443/").host, "s3.example:8443");
}

TEST(S3Options, AnEndpointIsSchemeAndHostAlone) {
  for (const char* wrong : {"s3.example", "ftp://s3.example", "https://", "https://s3.example/path",
                            "https://user@s3.example", "https://s3.example?x"}) {
    EXPECT_THAT(refusal(wrong), HasSubstr("[s3 lab] endpoint")) << wrong;
    EXPECT_THAT(refusal(wrong), HasSubstr("test.conf:2")) << wrong;
  }
}

TEST(S3Options, WhatIsMissingOrNoBucketIsNamed) {
  EXPECT_THAT(refusal("https://s3.example", "region = r\n"), HasSubstr("bucket"));
  EXPECT_THAT(refusal("https://s3.example", "bucket = a/b\n"), HasSubstr("[s3 lab] bucket"));
}

TEST(S3Options, ASectionThatIsNotThereIsNamed) {
  try {
    read_s3_options(parse_endpoint("s3://elsewhere/x"), parse_config("", "test.conf"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("[s3 elsewhere]"));
  }
}

}  // namespace
}  // namespace hamal
