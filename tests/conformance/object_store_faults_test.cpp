// What a network and a service do to the S3 client, and what the client makes of it. Seen to fail
// with If-None-Match believed unseen, and with redirects that curl follows.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "hamal/block/endpoint.hpp"
#include "hamal/config/config.hpp"
#include "hamal/store/open_store.hpp"
#include "hamal/util/error.hpp"
#include "object_store_servers.hpp"

namespace hamal::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class ObjectStoreFaults : public ::testing::Test {
 public:
  /// One request fails soon, or is repeated as long as is needed.
  static constexpr const char* k_impatient = "retry_max = 0";

  std::unique_ptr<ObjectStore> open(const std::string& more = {}) {
    return open_object_store(parse_endpoint("s3://lab/p"),
                             parse_config(service.section("lab", more), "lab"), cancel);
  }
  void fault(const std::string& what) { service.set_faults("[{" + what + "}]"); }

  static std::string range(ObjectStore& store, std::uint64_t offset, std::size_t length) {
    std::string into(length, '?');
    store.get_range("k", offset, std::as_writable_bytes(std::span(into)));
    return into;
  }

  static Error problem_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "went well";
    return {ErrorKind::failed, "none"};
  }

  FaultyS3 service;
  CancelToken cancel;
  const std::string content = std::string(1000, 'a') + std::string(1000, 'b') + "end";
};

// Whatever happens a few times to any request, the call does what it promises.
TEST_F(ObjectStoreFaults, WhatPassesIsRepeated) {
  const auto store = open();
  store->put("k", bytes(content));
  for (const char* what :
       {R"("do": "status", "status": 503, "code": "SlowDown")",
        R"("do": "status", "status": 500, "code": "InternalError")",
        R"("do": "status", "status": 429, "body": "", "headers": {"Retry-After": "0"})",
        R"("do": "status", "status": 502, "body": "<html>Bad gateway</html>")",
        R"("do": "status", "status": 409, "code": "ConditionalRequestConflict")", R"("do": "cut")",
        R"("do": "lost")", R"("do": "corrupt")"}) {
    SCOPED_TRACE(what);
    fault(what + std::string(R"(, "times": 2)"));
    store->put("k", bytes(content));
    fault(what + std::string(R"(, "times": 2)"));
    EXPECT_EQ(store->get("k", 5000), content);
  }
  for (const char* what : {"truncate", "short", "unbounded", "flip"}) {
    SCOPED_TRACE(what);
    fault(R"("do": ")" + std::string(what) + R"(", "times": 2)");
    EXPECT_EQ(store->get("k", 5000), content);
  }
  const auto trusting = open("verify_etag = no");  // the length alone
  for (const char* what : {"truncate", "unbounded"}) {
    SCOPED_TRACE(what);
    fault(R"("do": ")" + std::string(what) + R"(", "times": 2)");
    EXPECT_EQ(trusting->get("k", 5000), content);
  }
  for (const char* what : {"truncate", "short", "unbounded", "whole", "shift"}) {
    SCOPED_TRACE(what);
    fault(R"("do": ")" + std::string(what) + R"(", "times": 2)");
    EXPECT_EQ(range(*store, 998, 4), "aabb");
  }
}

TEST_F(ObjectStoreFaults, WhatStaysIsTransientAndSaysSo) {
  const auto store = open(k_impatient);
  fault(R"("do": "status", "status": 503, "code": "SlowDown", "times": 99)");
  const Error slow = problem_of([&] { store->put("k", bytes("x")); });
  EXPECT_TRUE(slow.transient());
  EXPECT_THAT(slow.what(), HasSubstr("s3://lab/p/k: refused with status 503, SlowDown"));
  fault(R"("do": "cut", "times": 99)");
  EXPECT_TRUE(problem_of([&] { store->get("k", 10); }).transient());
}

TEST_F(ObjectStoreFaults, ADamagedObjectIsAPermanentError) {
  const auto store = open();
  store->put("k", bytes(content));
  fault(R"("do": "flip", "times": 99)");
  const Error etag = problem_of([&] { store->get("k", 5000); });
  EXPECT_FALSE(etag.transient());
  EXPECT_THAT(etag.what(), HasSubstr("not those of its ETag"));
  const auto trusting = open("verify_etag = no");
  EXPECT_NE(trusting->get("k", 5000), content);
  fault(R"("do": "flip", "sha256": true, "times": 99)");
  EXPECT_THAT(problem_of([&] { trusting->get("k", 5000); }).what(), HasSubstr("SHA-256"));
}

TEST_F(ObjectStoreFaults, AServiceThatIgnoresTheConditionIsRefused) {
  const auto store = open();
  fault(R"("do": "ignore", "method": "PUT", "times": 99)");
  const Error error = problem_of([&] { store->put_if_absent("k", bytes("x")); });
  EXPECT_EQ(error.kind(), ErrorKind::usage);
  EXPECT_THAT(error.what(), HasSubstr("ignores If-None-Match"));
  EXPECT_FALSE(store->head("k"));
  // Nor is it believed the next time.
  EXPECT_THROW(store->put_if_absent("k", bytes("x")), Error);
}

TEST_F(ObjectStoreFaults, AReplyThatIsLostIsNoSecondObject) {
  const auto store = open();
  ASSERT_TRUE(store->put_if_absent("first", bytes("x")));
  fault(R"("do": "lost", "method": "PUT", "contains": "/p/slot")");
  EXPECT_FALSE(store->put_if_absent("slot", bytes("mine")));
  EXPECT_EQ(store->get("slot", 10), "mine");
}

// A signature goes to the configured host and no other.
TEST_F(ObjectStoreFaults, RedirectsAreNotFollowed) {
  const auto store = open();
  FaultyS3 other;
  other.set_faults("[]");
  for (const int status : {301, 302, 307, 308}) {
    fault(
        R"("do": "status", "status": )" + std::to_string(status) +
        R"(, "code": "PermanentRedirect", "headers": {"x-amz-bucket-region": "eu-1", "Location": ")" +
        other.endpoint() + R"(/p/k?secret"})");
    const Error error = problem_of([&] { store->put("k", bytes("x")); });
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("redirects are not followed"), HasSubstr("region = eu-1"),
                      HasSubstr(other.endpoint()), Not(HasSubstr("secret"))));
  }
  EXPECT_THAT(other.stats(), HasSubstr(R"("requests": [])"));
}

TEST_F(ObjectStoreFaults, AWrongClockIsCorrected) {
  for (const int ahead : {-7200, 7200}) {
    service.set_clock(ahead);
    const auto store = open(k_impatient);
    store->put("k", bytes("x"));
    EXPECT_TRUE(store->head("k"));
    const auto other = open(k_impatient);
    EXPECT_TRUE(other->head("k"));  // a HEAD whose refusal has no code
  }
}

TEST_F(ObjectStoreFaults, AServiceThatRefusesItsOwnTimeIsNamed) {
  service.set_clock(7200);
  const auto store = open(k_impatient);
  fault(R"("do": "status", "status": 403, "code": "RequestTimeTooSkewed", "times": 9)");
  EXPECT_THAT(problem_of([&] { store->put("k", bytes("x")); }).what(), HasSubstr("clock"));
}

TEST_F(ObjectStoreFaults, RefusalsNameTheCureAndNoSecret) {
  struct Case {
    const char* more;
    const char* says;
  };
  for (const Case& one : {Case{"secret_key = WRONGSECRET", "correct secret_key"},
                          Case{"access_key = OTHERKEY", "correct access_key"},
                          Case{"session_token = WRONGTOKEN", "correct session_token"},
                          Case{"bucket = missing", "create the bucket"}}) {
    const auto store = open(one.more);
    for (const auto& error : {problem_of([&] { store->put("k", bytes("x")); }),
                              problem_of([&] { store->list("", [](const ObjectInfo&) {}); })}) {
      EXPECT_FALSE(error.transient());
      EXPECT_THAT(error.what(), AllOf(HasSubstr(one.says), Not(HasSubstr("WRONG")),
                                      Not(HasSubstr("Signature="))));
    }
  }
  // A HEAD tells a missing bucket like a missing object: that must not pass for an empty one.
  EXPECT_THAT(problem_of([&] { open("bucket = missing")->head("k"); }).what(),
              HasSubstr("NoSuchBucket"));
}

TEST_F(ObjectStoreFaults, RepliesThatAreNotS3sAreErrors) {
  const auto store = open();
  for (const char* body :
       {"", "<html/>", "<ListBucketResult", "<ListBucketResult/>",
        "<!DOCTYPE x [<!ENTITY e 'x'>]><ListBucketResult><IsTruncated>false</IsTruncated>"
        "</ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>perhaps</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>p/k</Key><Size>-1</Size>"
        "<LastModified>2026-11-25T01:05:17Z</LastModified></Contents></ListBucketResult>"}) {
    fault(R"("do": "reply", "contains": "list-type", "body": ")" + std::string(body) + R"(")");
    EXPECT_THAT(problem_of([&] { store->list("", [](const ObjectInfo&) {}); }).what(),
                HasSubstr("not S3's"))
        << body;
  }
}

TEST_F(ObjectStoreFaults, AnUploadOutlivesItsParts) {
  const std::string large(11U << 20U, 'u');
  const auto store = open("part_size = 5M");
  for (const char* what : {R"("do": "cut", "contains": "partNumber=2", "times": 2)",
                           R"("do": "lost", "method": "POST", "contains": "uploadId")",
                           R"("do": "reply", "method": "POST", "contains": "uploadId", "body":
                              "<Error><Code>InternalError</Code></Error>")"}) {
    SCOPED_TRACE(what);
    fault(what);
    const auto upload = store->upload("u");
    upload->append(bytes(large));
    upload->finish();
    EXPECT_EQ(store->head("u")->size, large.size());
    EXPECT_THAT(service.stats(), HasSubstr(R"("uploads": 0)"));
    store->remove("u");
  }
}

TEST_F(ObjectStoreFaults, APartThatHangsHoldsUpNoOther) {
  const std::string large(11U << 20U, 'u');
  const auto store = open("part_size = 5M");
  fault(R"("do": "stall", "seconds": 2, "contains": "partNumber=1")");
  const auto upload = store->upload("u");
  upload->append(bytes(large));
  upload->finish();
  const std::string requests = service.stats();
  const std::size_t again = requests.rfind("partNumber=1");
  EXPECT_LT(requests.find("partNumber=1"), again);
  EXPECT_LT(requests.find("partNumber=2"), again);
  EXPECT_EQ(store->get("u", large.size()), large);
}

TEST_F(ObjectStoreFaults, AnUploadIsTakenBackEvenWhenStopped) {
  const std::string large(11U << 20U, 'u');
  const auto store = open("part_size = 5M");
  auto upload = store->upload("u");
  upload->append(bytes(large));
  EXPECT_THAT(service.stats(), HasSubstr(R"("uploads": 1)"));
  cancel.request(2);
  upload.reset();
  EXPECT_THAT(service.stats(), HasSubstr(R"("uploads": 0)"));
}

TEST_F(ObjectStoreFaults, StoppedCallsEndSoon) {
  const auto store = open();
  fault(R"("do": "stall", "seconds": 600, "times": 99)");
  std::thread caller(
      [&] { EXPECT_EQ(problem_of([&] { store->get("k", 10); }).kind(), ErrorKind::interrupted); });
  std::thread stopper([&] { cancel.request(2); });
  stopper.join();
  caller.join();
}

TEST_F(ObjectStoreFaults, ConnectionsAreKeptAndBounded) {
  const auto store = open("parallel_requests = 3");
  service.set_faults("[]");
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 10; ++round) {
        store->put(std::to_string(i), bytes("x"));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  const std::string stats = service.stats();
  const auto number = [&stats](const std::string& name) {
    return std::stoi(stats.substr(stats.find("\"" + name + "\": ") + name.size() + 4));
  };
  EXPECT_LE(number("most_at_once"), 3);
  EXPECT_LE(number("connections"), 6);  // one more is the test's own
}

}  // namespace
}  // namespace hamal::testing
