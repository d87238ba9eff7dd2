// The signatures that AWS published: its test suite for Signature Version 4, and the examples of
// the S3 API reference.
#include "hamal/net/sigv4.hpp"

#include <gmock/gmock.h>

#include "hamal/net/digest.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

std::string empty_hash() {
  return to_hex(sha256(""));
}

struct Published {
  const char* name;
  std::string method;
  std::string path;
  HttpQuery query;
  std::vector<HttpHeader> headers;
  const char* signature;
};

void PrintTo(const Published& vector, std::ostream* out) {
  *out << vector.name;
}

const HttpHeader k_host{"Host", "example.amazonaws.com"};
const HttpHeader k_date{"X-Amz-Date", "20150830T123600Z"};

class TestSuite : public ::testing::TestWithParam<Published> {};

TEST_P(TestSuite, SignsAsPublished) {
  const Published& vector = GetParam();
  const SigningKey key{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1",
                       "service"};
  EXPECT_THAT(
      authorization({vector.method, vector.path, vector.query, vector.headers, empty_hash()}, key,
                    *parse_rfc3339("2015-08-30T12:36:00Z")),
      EndsWith(std::string("Signature=") + vector.signature));
}

INSTANTIATE_TEST_SUITE_P(
    Aws4, TestSuite,
    ::testing::Values(
        Published{"get-vanilla",
                  "GET",
                  "/",
                  {},
                  {k_host, k_date},
                  "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        Published{"post-vanilla",
                  "POST",
                  "/",
                  {},
                  {k_host, k_date},
                  "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        Published{"get-vanilla-query-order-key-case",
                  "GET",
                  "/",
                  {{"Param2", "value2"}, {"Param1", "value1"}},
                  {k_host, k_date},
                  "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        Published{"get-vanilla-query-unreserved",
                  "GET",
                  "/",
                  {{"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                    "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"}},
                  {k_host, k_date},
                  "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
        Published{"get-utf8",
                  "GET",
                  "/%E1%88%B4",
                  {},
                  {k_host, k_date},
                  "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
        Published{"get-header-value-trim",
                  "GET",
                  "/",
                  {},
                  {k_host, {"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\" "}, k_date},
                  "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"}),
    [](const auto& vector) {
      std::string name = vector.param.name;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

class S3Reference : public ::testing::TestWithParam<Published> {};

TEST_P(S3Reference, SignsAsPublished) {
  const Published& vector = GetParam();
  const SigningKey key{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                       "us-east-1"};
  const std::string hash =
      vector.method == "PUT" ? to_hex(sha256("Welcome to Amazon S3.")) : empty_hash();
  std::vector<HttpHeader> headers = vector.headers;
  headers.push_back({"host", "examplebucket.s3.amazonaws.com"});
  headers.push_back({"x-amz-content-sha256", hash});
  headers.push_back({"x-amz-date", "20130524T000000Z"});
  const std::string value = authorization({vector.method, vector.path, vector.query, headers, hash},
                                          key, *parse_rfc3339("2013-05-24T00:00:00Z"));
  EXPECT_THAT(value, EndsWith(std::string("Signature=") + vector.signature));
  EXPECT_THAT(value, HasSubstr("Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
                               "aws4_request, SignedHeaders="));
}

INSTANTIATE_TEST_SUITE_P(
    Examples, S3Reference,
    ::testing::Values(Published{"get_object",
                                "GET",
                                "/test.txt",
                                {},
                                {{"Range", "bytes=0-9"}},
                                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
                      Published{"put_object",
                                "PUT",
                                "/test%24file.text",
                                {},
                                {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                                 {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
                      Published{"get_bucket_lifecycle",
                                "GET",
                                "/",
                                {{"lifecycle", ""}},
                                {},
                                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
                      Published{
                          "list_objects",
                          "GET",
                          "/",
                          {{"max-keys", "2"}, {"prefix", "J"}},
                          {},
                          "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"}),
    [](const auto& vector) { return std::string(vector.param.name); });

TEST(SigV4, HeadersOfOneNameAreJoined) {
  const std::string text =
      canonical_request({"GET", "/", {}, {{"b", "2"}, {"A", "  x \t y "}, {"B", "1"}}, "HASH"});
  EXPECT_EQ(text, "GET\n/\n\na:x y\nb:2,1\n\na;b\nHASH");
}

TEST(SigV4, QueriesAreEncodedThenSorted) {
  EXPECT_EQ(canonical_query({{"b", "x y/+"}, {"a-b", ""}, {"a", "="}}), "a=%3D&a-b=&b=x%20y%2F%2B");
}

}  // namespace
}  // namespace hamal
