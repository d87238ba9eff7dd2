// Names, types and sections of platforms.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hamal/platform/platform.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using ::testing::HasSubstr;

class OpenPlatform : public ::testing::Test {
 protected:
  void add(const std::string& name, const std::map<std::string, std::string>& values) {
    NamedSection section;
    section.name = name;
    section.origin = {"hamal.conf", 7};
    section.values = values;
    config.platforms[name] = section;
  }
  std::string refusal(const std::string& name) {
    try {
      open_platform(name, {config, log, cancel, "0123abcd"});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "opened";
  }
  Config config;
  Logger log;
  CancelToken cancel;
};

TEST_F(OpenPlatform, FileAndNbdNeedNoSection) {
  EXPECT_EQ(refusal("file"), "opened");
  EXPECT_EQ(refusal("nbd"), "opened");
  EXPECT_THAT(refusal("qemu"), HasSubstr("no section [platform qemu]"));
}

TEST_F(OpenPlatform, AnUnknownNameListsTheSections) {
  EXPECT_THAT(refusal("lab"), HasSubstr("the configuration has none"));
  add("lab1", {{"type", "nbd"}, {"uri", "nbd://h"}});
  add("images", {{"type", "file"}, {"path", "/"}});
  EXPECT_THAT(refusal("lab"), HasSubstr("did you mean lab1?"));
  EXPECT_THAT(refusal("zzzzzz"), HasSubstr("images, lab1"));
}

TEST_F(OpenPlatform, SectionsAreChecked) {
  add("a", {{"uri", "nbd://h"}});
  EXPECT_THAT(refusal("a"), HasSubstr("type"));
  add("b", {{"type", "libvirt"}});
  EXPECT_THAT(refusal("b"), HasSubstr("no platform of type \"libvirt\""));
  add("c", {{"type", "file"}});
  EXPECT_THAT(refusal("c"), HasSubstr("path"));
  add("d", {{"type", "nbd"}});
  EXPECT_THAT(refusal("d"), HasSubstr("uri"));
  add("e", {{"type", "nbd"}, {"disk.vda", "nbd://h"}});
  EXPECT_EQ(refusal("e"), "opened");
  add("f", {{"type", "vmware"}, {"endpoint", "http://h"}, {"user", "u"}, {"secret", "s"}});
  EXPECT_THAT(refusal("f"), HasSubstr("https://"));
  add("g", {{"type", "vmware"}, {"endpoint", "https://h/sdk"}, {"user", "u"}, {"secret", "s"}});
  EXPECT_EQ(refusal("g"), "opened");
  add("h", {{"type", "openstack_ceph"}, {"endpoint", "keystone"}, {"secret", "s"}});
  EXPECT_THAT(refusal("h"), HasSubstr("https://HOST:PORT/v3"));
  add("i", {{"type", "openstack_ceph"}, {"endpoint", "https://h"}, {"secret", "s"}});
  EXPECT_THAT(refusal("i"), HasSubstr("user"));
  add("j", {{"type", "openstack_ceph"},
            {"endpoint", "https://h"},
            {"secret", "s"},
            {"application_credential", "c"},
            {"pool.ssd", "east/"}});
  EXPECT_THAT(refusal("j"), HasSubstr("CLUSTER/POOL"));
  add("k", {{"type", "openstack_ceph"},
            {"endpoint", "https://h"},
            {"secret", "s"},
            {"application_credential", "c"},
            {"pool.ssd", "east/fast"}});
  EXPECT_EQ(refusal("k"), "opened");
  add("l", {{"type", "fusion_compute"}, {"endpoint", "http://h"}, {"user", "u"}, {"secret", "s"}});
  EXPECT_THAT(refusal("l"), HasSubstr("https://"));
  add("m", {{"type", "fusion_compute"}, {"endpoint", "https://h"}, {"user", "u"}, {"secret", "s"}});
  EXPECT_EQ(refusal("m"), "opened");
}

}  // namespace
}  // namespace hamal
