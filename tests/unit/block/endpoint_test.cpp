// The grammar of endpoints: what is accepted, what every refusal says.
#include "hamal/block/endpoint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using ::testing::HasSubstr;

TEST(Endpoint, FilesAreDecoded) {
  EXPECT_EQ(parse_endpoint("file:disk.raw").path, "disk.raw");
  EXPECT_EQ(parse_endpoint("file:/a%20b/c%25.raw").path, "/a b/c%.raw");
  EXPECT_EQ(parse_endpoint("file:///a/b").path, "/a/b");
  EXPECT_EQ(parse_endpoint("file:a?b#c").path, "a?b#c");
  EXPECT_EQ(parse_endpoint("file:a").kind, EndpointKind::file);
  EXPECT_EQ(parse_endpoint("file:a%20b").uri, "file:a%20b");
}

TEST(Endpoint, DevicesArePathsBelowDev) {
  const Endpoint endpoint = parse_endpoint("/dev/mapper/vg-a%2Fb");
  EXPECT_EQ(endpoint.kind, EndpointKind::device);
  EXPECT_EQ(endpoint.path, "/dev/mapper/vg-a/b");
}

TEST(Endpoint, NbdUrisAreKept) {
  for (const char* uri : {"nbd://host", "nbd://host:1234/export", "nbds://host/x?tls-psk-file=/k",
                          "nbd+unix:///x?socket=/run/s",
                          "nbds+unix:///?tls-verify-peer=false&socket=/s", "nbd://[::1]:10809/x"}) {
    const Endpoint endpoint = parse_endpoint(uri);
    EXPECT_EQ(endpoint.kind, EndpointKind::nbd) << uri;
    EXPECT_EQ(endpoint.uri, uri);
  }
}

TEST(Endpoint, PlatformDisksAreTakenApart) {
  const Endpoint plain = parse_endpoint("lab:web01/vda");
  EXPECT_EQ(plain.kind, EndpointKind::platform);
  EXPECT_EQ(plain.platform, "lab");
  EXPECT_EQ(plain.vm, "web01");
  EXPECT_EQ(plain.disk, "vda");
  EXPECT_EQ(plain.snapshot, "");
  const Endpoint full = parse_endpoint("lab:web%2F01/a%40b@snap%201");
  EXPECT_EQ(full.vm, "web/01");
  EXPECT_EQ(full.disk, "a@b");
  EXPECT_EQ(full.snapshot, "snap 1");
}

TEST(Endpoint, WhatIsBuiltIsParsed) {
  std::mt19937 random(1);
  const auto word = [&random] {
    std::string text(random() % 12 + 1, 'x');
    for (char& c : text) {
      c = static_cast<char>(random() % 255 + 1);
    }
    return text;
  };
  for (int i = 0; i < 2000; ++i) {
    const std::string vm = word();
    const std::string disk = word();
    const std::string snapshot = i % 2 == 0 ? "" : word();
    const Endpoint endpoint = parse_endpoint(platform_uri("lab", vm, disk, snapshot));
    EXPECT_EQ(endpoint.vm, vm);
    EXPECT_EQ(endpoint.disk, disk);
    EXPECT_EQ(endpoint.snapshot, snapshot);
    const std::string path = "/" + word();
    const std::string parsed = parse_endpoint(file_uri(path)).path;
    EXPECT_EQ(parsed.substr(parsed.find_first_not_of('/') == std::string::npos
                                ? 0
                                : parsed.find_first_not_of('/')),
              path.substr(path.find_first_not_of('/') == std::string::npos
                              ? path.size() - parsed.size()
                              : path.find_first_not_of('/')));
  }
}

TEST(Endpoint, RepositoriesAreDirectoriesAndBuckets) {
  const Endpoint directory = parse_endpoint("dir:/back%20ups");
  EXPECT_EQ(directory.kind, EndpointKind::directory);
  EXPECT_EQ(directory.path, "/back ups");
  EXPECT_EQ(parse_endpoint("dir:///a").path, "/a");
  const Endpoint bucket = parse_endpoint("s3://store/a/b%20c/");
  EXPECT_EQ(bucket.kind, EndpointKind::s3);
  EXPECT_EQ(bucket.store, "store");
  EXPECT_EQ(bucket.prefix, "a/b c");
  EXPECT_EQ(parse_endpoint("s3://store").prefix, "");
  EXPECT_EQ(parse_endpoint("s3://store/").prefix, "");
  EXPECT_THAT(repository_refused(bucket).what(), HasSubstr("s3://store/a/b%20c/: a repository"));
}

struct Bad {
  const char* uri;
  const char* says;
};

TEST(Endpoint, AnImageInCephMayNameItsClusterNamespaceAndSnapshot) {
  const Endpoint plain = parse_endpoint("rbd:pool/image");
  EXPECT_EQ(plain.kind, EndpointKind::rbd);
  EXPECT_EQ(plain.rbd.cluster, "");
  EXPECT_EQ(plain.rbd.pool, "pool");
  EXPECT_EQ(plain.rbd.space, "");
  EXPECT_EQ(plain.rbd.image, "image");
  EXPECT_EQ(plain.snapshot, "");
  const Endpoint whole = parse_endpoint("rbd://east/pool/space/my%2Fimage@s%40p");
  EXPECT_EQ(whole.rbd.cluster, "east");
  EXPECT_EQ(whole.rbd.space, "space");
  EXPECT_EQ(whole.rbd.image, "my/image");
  EXPECT_EQ(whole.snapshot, "s@p");
  EXPECT_EQ(rbd_uri(whole.rbd, whole.snapshot), whole.uri);
  EXPECT_EQ(rbd_uri(plain.rbd), plain.uri);
}

class EndpointRefusals : public ::testing::TestWithParam<Bad> {};

TEST_P(EndpointRefusals, SayWhatIsWrongAndTheGrammar) {
  try {
    parse_endpoint(GetParam().uri);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), HasSubstr(GetParam().says));
    EXPECT_THAT(error.what(), HasSubstr("an endpoint is file:PATH"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, EndpointRefusals,
    ::testing::Values(
        Bad{"", "an empty endpoint"}, Bad{"disk.raw", "a file is written file:disk.raw"},
        Bad{"/srv/disk.raw", "a file is written file:/srv/disk.raw"},
        Bad{"./a:b/c", "a file is written"}, Bad{"file:", "the path is missing"},
        Bad{"file:%", "broken percent escape"}, Bad{"file:%zz", "broken percent escape"},
        Bad{"file:a%00b", "broken percent escape"}, Bad{"file://host/x", "another host"},
        Bad{"file:a\nb", "control characters"}, Bad{"nbd:host", "\"//\" is missing"},
        Bad{"nbd://", "the host is missing"}, Bad{"nbd:///x", "the host is missing"},
        Bad{"nbd+unix:///x", "the socket is missing"},
        Bad{"nbd://host/%4", "a percent escape is broken"},
        Bad{"rbd:pool", "\"/IMAGE\" is missing"}, Bad{"rbd:/image", "the pool is missing"},
        Bad{"rbd:pool/", "the image is missing"}, Bad{"rbd:p/n/i/x", "more than POOL/NAMESPACE"},
        Bad{"rbd:pool/image@", "the snapshot is missing"},
        Bad{"rbd:pool/%", "broken percent escape"},
        Bad{"rbd:///pool/image", "cannot be the name of a [ceph NAME]"},
        Bad{"dir:", "the path is missing"}, Bad{"dir://host/x", "a directory on another host"},
        Bad{"s3:name", "\"//\" is missing"}, Bad{"s3://", "cannot be the name of an [s3 NAME]"},
        Bad{"s3://a b/x", "cannot be the name of an [s3 NAME]"},
        Bad{"s3://name/a//b", "a part of the prefix is empty"},
        Bad{"s3://name//", "a part of the prefix is empty"}, Bad{"s3://name/a/../b", "\"..\""},
        Bad{"s3://name/%", "broken percent escape"}, Bad{"s3://name/a%0ab", "control characters"},
        Bad{"vmware:vm/disk", "reserved word"}, Bad{"qemu:vm/disk", "reserved word"},
        Bad{"nbd+vsock://1", "reserved word"}, Bad{"lab:vm", "\"/DISK\" is missing"},
        Bad{"lab:/disk", "the vm is missing"}, Bad{"lab:vm/", "the disk is missing"},
        Bad{"lab:vm/disk@", "the snapshot is missing"}, Bad{"lab:a/b/c", "more than one \"/\""},
        Bad{"la b:vm/disk", "cannot be the name of a platform"},
        Bad{":vm/disk", "cannot be the name of a platform"}));

TEST(Endpoint, AnAbsurdLengthIsRefusedBriefly) {
  try {
    parse_endpoint("file:" + std::string(100000, 'a'));
    FAIL();
  } catch (const Error& error) {
    EXPECT_LT(std::string(error.what()).size(), 1000U);
  }
}

}  // namespace
}  // namespace hamal
