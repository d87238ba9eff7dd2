// Which replies are believed to have the bytes that were asked for.
#include "hamal/store/s3_range.hpp"

#include <gmock/gmock.h>

#include "hamal/net/digest.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using testing::HasSubstr;

const RangeAsked k_asked{100, 50, "s3://lab/x"};

HttpReply part(const std::string& range, std::size_t came = 50) {
  HttpReply reply;
  reply.status = 206;
  reply.headers = {{"content-range", range}};
  reply.into_size = came;
  return reply;
}

std::string refusal(const HttpReply& reply) {
  try {
    check_range(reply, k_asked);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.object(), k_asked.object);
    return error.problem();
  }
}

TEST(S3Range, ExactlyWhatWasAskedFor) {
  EXPECT_EQ(refusal(part("bytes 100-149/1000")), "");
  EXPECT_EQ(size_before_end(part("bytes 100-149/1000"), k_asked), std::nullopt);
}

TEST(S3Range, AnotherRangeOrNoneOrTheWholeObject) {
  for (const char* range :
       {"bytes 101-150/1000", "", "bytes", "bytes 100-149", "bytes 149-100/1000", "bytes 100-149/*",
        "bytes 100-149/1000x", "bytes -149/1000", "items 100-149/1000"}) {
    EXPECT_THAT(refusal(part(range)), HasSubstr("another range")) << range;
  }
  HttpReply whole = part("");
  whole.status = 200;
  EXPECT_THAT(refusal(whole), HasSubstr("the whole object came"));
}

TEST(S3Range, TooFewBytesOrTooMany) {
  EXPECT_THAT(refusal(part("bytes 100-149/1000", 49)), HasSubstr("49 bytes came of a range of 50"));
  EXPECT_THAT(refusal(part("bytes 100-148/1000", 49)), HasSubstr("49 bytes came"));
  HttpReply more = part("bytes 100-149/1000");
  more.fit = BodyFit::too_large;
  EXPECT_NE(refusal(more), "");
}

TEST(S3Range, AnObjectThatEndsBeforeSaysWhere) {
  EXPECT_EQ(size_before_end(part("bytes 100-119/120", 20), k_asked), 120U);
  HttpReply beyond = part("bytes */80", 0);
  beyond.status = 416;
  EXPECT_EQ(size_before_end(beyond, k_asked), 80U);
  EXPECT_EQ(refusal(beyond), "");
  beyond.headers.clear();
  EXPECT_EQ(size_before_end(beyond, k_asked), 0U);
}

HttpReply object(const std::string& body) {
  HttpReply reply;
  reply.status = 200;
  reply.body = body;
  reply.headers = {{"content-length", std::to_string(body.size())}};
  return reply;
}

bool is_believed(const HttpReply& reply, bool verify_etag = true) {
  try {
    check_whole_object(reply, verify_etag, "s3://lab/x");
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string md5_of(const std::string& text) {
  return to_hex(md5(std::as_bytes(std::span(text))));
}

TEST(S3WholeObject, IsAsLongAsItSays) {
  EXPECT_TRUE(is_believed(object("bytes")));
  HttpReply reply = object("bytes");
  reply.headers = {{"content-length", "6"}};
  EXPECT_FALSE(is_believed(reply));
  reply.headers.clear();
  EXPECT_FALSE(is_believed(reply)) << "a cut connection would look like the end";
}

TEST(S3WholeObject, IsWhatItsETagSaysWhereThatIsAnMd5) {
  const auto with = [](const std::string& etag) {
    HttpReply reply = object("bytes");
    reply.headers.push_back({"etag", etag});
    return reply;
  };
  const std::string right = md5_of("bytes");
  const std::string wrong = md5_of("other");
  EXPECT_TRUE(is_believed(with("\"" + right + "\"")));
  EXPECT_FALSE(is_believed(with("\"" + wrong + "\"")));
  EXPECT_TRUE(is_believed(with("\"" + wrong + "\""), false));
  EXPECT_TRUE(is_believed(with("\"" + wrong + "-2\""))) << "of an upload in parts";
  HttpReply encrypted = with("\"" + wrong + "\"");
  encrypted.headers.push_back({"x-amz-server-side-encryption", "aws:kms"});
  EXPECT_TRUE(is_believed(encrypted));
}

TEST(S3WholeObject, ItsOwnChecksumHasTheLastWord) {
  HttpReply reply = object("bytes");
  reply.headers.push_back({"etag", "\"" + md5_of("other") + "\""});
  reply.headers.push_back({"x-amz-checksum-sha256", to_base64(sha256(std::string_view("bytes")))});
  EXPECT_TRUE(is_believed(reply));
  reply.headers.back().value = to_base64(sha256(std::string_view("other")));
  EXPECT_FALSE(is_believed(reply, false));
}

}  // namespace
}  // namespace hamal
