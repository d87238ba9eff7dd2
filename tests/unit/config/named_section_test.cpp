// [platform NAME], [s3 NAME], [job NAME].
#include <gmock/gmock.h>

#include "hamal/config/config.hpp"
#include "hamal/config/keys.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

std::string refusal(const std::string& text) {
  try {
    parse_config(text, "t");
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "accepted: " << text;
  return {};
}

TEST(NamedSection, KeepsValuesAndWhereTheyCameFrom) {
  const Config config = parse_config(
      "[platform web]\ntype = qemu\nqmp = /run/q.sock # control\nvm = web01\nvm_id = 7\n"
      "nbd_socket = /run/n.sock\nscratch_dir = /scratch\nscratch_min_free = 2G\n"
      "[platform lab]\ntype=nbd\nuri=nbd://localhost\ndisk.root=nbd+unix:///a?socket=/s\nbitmap=b\n"
      "[platform images]\ntype=file\npath=/images\noffline=yes\n"
      "[s3 store]\nendpoint=https://s3\nbucket=b\nsecret_key=file:/k\naddressing_style=path\n"
      "[job nightly]\nplatform=web\nvm=*\ntarget=file:/t/{vm}\ninterval=1h\nquiesce=try\n",
      "t");
  EXPECT_THAT(config.warnings, IsEmpty());
  ASSERT_EQ(config.platforms.size(), 3U);
  const NamedSection& web = config.platforms.at("web");
  EXPECT_EQ(web.name, "web");
  EXPECT_EQ(web.origin.line, 1);
  EXPECT_EQ(web.get("qmp"), "/run/q.sock");
  EXPECT_EQ(web.origins.at("qmp").line, 3);
  EXPECT_EQ(config.platforms.at("lab").get("disk.root"), "nbd+unix:///a?socket=/s");
  EXPECT_EQ(config.s3.at("store").get("bucket"), "b");
  EXPECT_EQ(config.jobs.at("nightly").get("vm"), "*");
}

TEST(NamedSection, GetFallsBackAndRequireRefuses) {
  const Config config = parse_config("[platform web]\ntype=qemu\nvm=\"\"\n", "t");
  const NamedSection& web = config.platforms.at("web");
  EXPECT_EQ(web.get("vm", "x"), "x");
  EXPECT_EQ(web.get("qmp", "y"), "y");
  EXPECT_EQ(web.require("type"), "qemu");
  for (const auto& [key, problem] : {std::pair{"vm", "empty"}, std::pair{"qmp", "missing"}}) {
    try {
      web.require(key);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_THAT(error.what(),
                  AllOf(StartsWith("t:1: "), HasSubstr("web"), HasSubstr(key), HasSubstr(problem)));
    }
  }
}

TEST(NamedSection, ReservedWordsAreNoNamesOfPlatforms) {
  for (const char* word : {"file", "nbd", "nbds", "rbd", "s3", "dir", "vmware", "openstack_ceph",
                           "fusion_compute", "qemu", "libvirt", "repository"}) {
    EXPECT_THAT(refusal(std::string("[platform ") + word + "]\ntype=file\n"),
                AllOf(StartsWith("t:1: "), HasSubstr("reserved word")));
    EXPECT_TRUE(is_reserved_platform_name(word));
  }
  EXPECT_FALSE(is_reserved_platform_name("my-file"));
  EXPECT_NO_THROW(parse_config("[job file]\n[s3 dir]\n", "t"));
}

TEST(NamedSection, NamesHaveAnAlphabet) {
  EXPECT_THAT(refusal("[platform]\n"), HasSubstr("a name is missing"));
  EXPECT_THAT(refusal("[platform a b]\n"), HasSubstr("allowed: letters"));
  EXPECT_THAT(refusal("[platform a/b]\n"), HasSubstr("allowed: letters"));
  EXPECT_THAT(refusal("[platform a:b]\n"), HasSubstr("allowed: letters"));
  EXPECT_THAT(refusal("[job ../x]\n"), HasSubstr("allowed: letters"));
  EXPECT_NO_THROW(parse_config("[platform  a-b_c.D9 ]\ntype=file\n", "t"));
}

TEST(NamedSection, ValuesAreCheckedToo) {
  EXPECT_THAT(refusal("[platform w]\nvm=x\n"), StartsWith("t:1: [platform w] type: missing"));
  EXPECT_THAT(refusal("[platform w]\ntype=kvm\n"),
              AllOf(StartsWith("t:2: [platform w] type: \"kvm\""), HasSubstr("qemu")));
  EXPECT_THAT(refusal("[platform w]\ntype=qemu\nqmp=q.sock\n"), HasSubstr("an absolute path"));
  EXPECT_THAT(refusal("[platform w]\ntype=qemu\nscratch_min_free=lots\n"), HasSubstr("a size"));
  EXPECT_THAT(refusal("[platform w]\ntype=file\noffline=perhaps\n"), HasSubstr("True or False"));
  EXPECT_THAT(refusal("[platform w]\ntype=nbd\ndisk.0=/dev/sda\n"), HasSubstr("nbd://"));
  EXPECT_THAT(refusal("[s3 w]\naddressing_style=both\n"), HasSubstr("path, virtual"));
  EXPECT_THAT(refusal("[job w]\ninterval=often\n"), HasSubstr("a bare number counts seconds"));
}

TEST(NamedSection, UnknownAndMisplacedKeysAreWarnedAbout) {
  EXPECT_THAT(
      parse_config("[platform w]\ntype=qemu\nscratch_dri=/x\n", "t").warnings,
      ElementsAre(
          "t:3: [platform w] scratch_dri: unknown key, ignored; did you mean scratch_dir?"));
  EXPECT_THAT(parse_config("[platform w]\ntype=file\npath=/x\nqmp=/x\n", "t").warnings,
              ElementsAre("t:4: [platform w] qmp: not a key of type file, ignored"));
  EXPECT_THAT(parse_config("[platform w]\ntype=nbd\ndisk.=nbd://x\n", "t").warnings,
              ElementsAre(HasSubstr("disk.: unknown key")));
}

}  // namespace
}  // namespace hamal
