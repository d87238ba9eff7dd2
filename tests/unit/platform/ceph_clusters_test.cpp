#include "hamal/platform/ceph_clusters.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* k_keyring =
    "[client.admin]\n\tkey = ADMINKEY==\n\n[client.hamal]\n\tcaps mon = \"profile rbd\"\n"
    "\tkey = OURKEY==\n";

std::string refusal(const std::string& config, const std::string& uri) {
  const Config parsed = parse_config(config, "t");
  CephClusters clusters(parsed);
  try {
    clusters.attach(parse_endpoint(uri));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "accepted";
}

std::string section(const std::string& name) {
  return "[ceph " + name + "]\nmon_host=192.0.2.1\nkeyring=KEY==\n";
}

TEST(CephClusters, TheKeyOfTheUserIsFoundInAKeyringOrIsItself) {
  EXPECT_EQ(key_of_keyring(k_keyring, "hamal", "o"), "OURKEY==");
  EXPECT_EQ(key_of_keyring(k_keyring, "admin", "o"), "ADMINKEY==");
  EXPECT_EQ(key_of_keyring(" OURKEY==\n", "hamal", "o"), "OURKEY==");
  try {
    key_of_keyring(k_keyring, "nobody", "[ceph x] keyring");
    ADD_FAILURE() << "found";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no key of client.nobody"));
    EXPECT_THAT(error.what(), Not(HasSubstr("KEY==")));
  }
}

TEST(CephClusters, TheSectionIsTheNamedOneTheOnlyOneOrTheDefault) {
  const auto name_of = [](const std::string& config, const std::string& uri) {
    const Config parsed = parse_config(config, "t");
    CephClusters clusters(parsed);
    return clusters.attach(parse_endpoint(uri)).rbd.cluster;
  };
  EXPECT_EQ(name_of(section("east"), "rbd:p/i"), "east");
  EXPECT_EQ(name_of(section("east") + section("west"), "rbd://west/p/i"), "west");
  EXPECT_EQ(name_of(section("east") + section("default"), "rbd:p/i"), "default");
  EXPECT_THAT(refusal(section("east") + section("west"), "rbd:p/i"), HasSubstr("of which cluster"));
  EXPECT_THAT(refusal(section("east"), "rbd://west/p/i"), HasSubstr("no section [ceph west]"));
  EXPECT_THAT(refusal("", "rbd:p/i"), HasSubstr("no section [ceph NAME]"));
}

TEST(CephClusters, WhatIsMissingIsSaid) {
  EXPECT_THAT(refusal("[ceph a]\nkeyring=K\n", "rbd:p/i"), HasSubstr("mon_host"));
  EXPECT_THAT(refusal("[ceph a]\nmon_host=h\n", "rbd:p/i"), HasSubstr("keyring"));
  EXPECT_EQ(refusal("[ceph a]\nmon_host=h\nauth=none\n", "rbd:p/i"), "accepted");
}

TEST(CephClusters, OneSectionIsOneConnection) {
  const Config config = parse_config(section("a"), "t");
  CephClusters clusters(config);
  EXPECT_EQ(clusters.attach(parse_endpoint("rbd:p/i")).ceph,
            clusters.attach(parse_endpoint("rbd://a/q/j")).ceph);
  EXPECT_EQ(clusters.attach(parse_endpoint("file:x")).ceph, nullptr);
}

}  // namespace
}  // namespace hamal
