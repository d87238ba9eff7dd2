// Bodies of replies: what is taken from them, and that what is not S3's is refused by name.
#include "hamal/store/s3_reply.hpp"

#include <gmock/gmock.h>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string listing(const std::string& inside) {
  return "<?xml version='1.0'?><ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>" +
         inside + "</ListBucketResult>";
}

std::string entry(const std::string& key, const std::string& size = "7",
                  const std::string& modified = "2026-11-25T00:00:01.500Z") {
  return "<Contents><Key>" + key + "</Key><Size>" + size + "</Size><LastModified>" + modified +
         "</LastModified></Contents>";
}

template <typename Parse>
std::string refusal_of(Parse parse) {
  try {
    parse();
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.object(), "s3://lab");
    return error.problem();
  }
}

std::string list_refusal(const std::string& body) {
  return refusal_of([&] { parse_s3_listing(body, "s3://lab"); });
}

TEST(S3Listing, KeysSizesAndWhereToGoOn) {
  const S3Listing page = parse_s3_listing(
      listing("<IsTruncated>true</IsTruncated><NextContinuationToken>t/1=</NextContinuationToken>"
              "<Other/>" +
              entry("a%20b") + entry("c&amp;d", "18446744073709551615")),
      "s3://lab");
  ASSERT_EQ(page.objects.size(), 2U);
  EXPECT_EQ(page.objects[0].key, "a%20b") << "encoded only where the reply says so";
  EXPECT_EQ(page.objects[0].size, 7U);
  EXPECT_EQ(page.objects[0].modified.time_since_epoch().count() % 1'000'000'000, 500'000'000);
  EXPECT_EQ(page.objects[1].key, "c&d");
  EXPECT_EQ(page.objects[1].size, 18446744073709551615U);
  EXPECT_TRUE(page.truncated);
  EXPECT_EQ(page.next, "t/1=");
}

TEST(S3Listing, EncodedKeysAreDecoded) {
  const S3Listing page =
      parse_s3_listing(listing("<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>" +
                               entry("a%2Bb+c%C3%A4")),
                       "s3://lab");
  ASSERT_EQ(page.objects.size(), 1U);
  EXPECT_EQ(page.objects[0].key, "a+b cä");
}

TEST(S3Listing, WhatIsNoneIsRefused) {
  const std::string whole = "<IsTruncated>false</IsTruncated>";
  EXPECT_EQ(list_refusal(listing(whole)), "");
  for (const std::string& body :
       {std::string(), std::string("<html>sign in</html>"), std::string("{}"),
        listing(whole).substr(0, 60), std::string("<ListBucketResult/>")}) {
    EXPECT_THAT(list_refusal(body), HasSubstr("not S3's")) << body;
  }
  EXPECT_THAT(list_refusal(listing("<IsTruncated>maybe</IsTruncated>")), HasSubstr("maybe"));
  EXPECT_THAT(list_refusal(listing("<IsTruncated>true</IsTruncated>")),
              HasSubstr("<NextContinuationToken> is missing"));
  EXPECT_THAT(list_refusal(listing(whole + entry("a", "-1"))), HasSubstr("<Size> is \"-1\""));
  EXPECT_THAT(list_refusal(listing(whole + entry("a", "1", "today"))),
              HasSubstr("<LastModified> is \"today\""));
  EXPECT_THAT(list_refusal(listing(whole + "<Contents><Size>1</Size></Contents>")),
              HasSubstr("<Key> is missing"));
  EXPECT_THAT(list_refusal(listing("<EncodingType>url</EncodingType>" + whole + entry("a%2"))),
              HasSubstr("broken percent escape"));
}

TEST(S3Listing, DocumentTypesAreRefused) {
  EXPECT_THAT(list_refusal("<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>" +
                           listing("<IsTruncated>false</IsTruncated>" + entry("&e;"))),
              HasSubstr("not S3's"));
}

TEST(S3VersionListing, VersionsAndDeleteMarkersInTheirOrder) {
  const S3VersionListing page = parse_s3_version_listing(
      "<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
      "<NextVersionIdMarker>v1</NextVersionIdMarker>"
      "<DeleteMarker><Key>k</Key><VersionId>v2</VersionId></DeleteMarker>"
      "<Version><Key>k</Key><VersionId>v1</VersionId></Version></ListVersionsResult>",
      "s3://lab");
  ASSERT_EQ(page.versions.size(), 2U);
  EXPECT_EQ(page.versions[0].id, "v2");
  EXPECT_TRUE(page.versions[0].delete_marker);
  EXPECT_EQ(page.versions[1].id, "v1");
  EXPECT_FALSE(page.versions[1].delete_marker);
  EXPECT_EQ(page.next_key, "k");
  EXPECT_EQ(page.next_id, "v1");
}

TEST(S3Versioning, OffEnabledSuspendedOrNonsense) {
  const auto of = [](const std::string& inside) {
    return parse_s3_versioning("<VersioningConfiguration>" + inside + "</VersioningConfiguration>",
                               "s3://lab");
  };
  EXPECT_EQ(of(""), S3Versioning::off);
  EXPECT_EQ(of("<Status>Enabled</Status>"), S3Versioning::enabled);
  EXPECT_EQ(of("<Status>Suspended</Status>"), S3Versioning::suspended);
  EXPECT_THAT(refusal_of([&] { of("<Status>on</Status>"); }), HasSubstr("<Status> is \"on\""));
}

TEST(S3UploadId, IsThereAndNotEmpty) {
  const auto of = [](const std::string& inside) {
    return parse_s3_upload_id(
        "<InitiateMultipartUploadResult>" + inside + "</InitiateMultipartUploadResult>",
        "s3://lab");
  };
  EXPECT_EQ(of("<UploadId>up/1+=</UploadId>"), "up/1+=");
  EXPECT_THAT(refusal_of([&] { of(""); }), HasSubstr("<UploadId> is missing"));
  EXPECT_THAT(refusal_of([&] { of("<UploadId/>"); }), HasSubstr("<UploadId> is empty"));
}

TEST(S3Refusal, ControlCharactersAreEscapedAndOtherPagesAreNone) {
  const S3Refusal refusal = parse_s3_refusal(
      "<Error><Code>NoSuchBucket</Code><Message>two\nlines</Message><Region>r</Region></Error>");
  EXPECT_EQ(refusal.code, "NoSuchBucket");
  EXPECT_EQ(refusal.message, "two\\nlines");
  EXPECT_EQ(refusal.region, "r");
  EXPECT_EQ(parse_s3_refusal("<html><Code>x</Code></html>").code, "");
  EXPECT_EQ(parse_s3_refusal("\xff\xfe").code, "");
}

TEST(EscapeXml, WhatParsesBackAsItWas) {
  EXPECT_EQ(escape_xml("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
}

}  // namespace
}  // namespace hamal
