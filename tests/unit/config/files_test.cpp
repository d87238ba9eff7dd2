// hamal.conf and conf.d as files: order, modes, absence.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <chrono>

#include "hamal/config/config.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "util/temporary_directory.hpp"

namespace hamal {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ConfigFiles : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text, mode_t mode = 0640) {
    make_private_directories((m_directory / name).parent_path());
    write_file_atomically(m_directory / name, text);
    ASSERT_EQ(::chmod((m_directory / name).c_str(), mode), 0);
  }
  Config load() const { return load_config(m_directory / "hamal.conf", true); }
  std::string refusal() const {
    try {
      load();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "accepted";
    return {};
  }

  test::TemporaryDirectory m_directory;
};

TEST_F(ConfigFiles, PartsAreMergedInTheOrderOfTheirNames) {
  write("hamal.conf", "[period]\ninterval=1\ntask_update_wait_time=7\n[platform a]\ntype=file\n");
  write("conf.d/20-b.conf", "[period]\ninterval=3\n[platform a]\npath=/late\n");
  write("conf.d/10-a.conf", "[period]\ninterval=2\n[platform a]\npath=/early\n");
  write("conf.d/30-c.conf.bak", "[period]\ninterval=9\n");
  write("conf.d/.hidden.conf", "[period]\ninterval=9\n");
  const Config config = load();
  EXPECT_EQ(config.period.interval, 3s);
  EXPECT_EQ(config.period.task_update_wait_time, 7s);
  const NamedSection& platform = config.platforms.at("a");
  EXPECT_EQ(platform.get("path"), "/late");
  EXPECT_EQ(platform.origin.file, m_directory / "hamal.conf");
  EXPECT_EQ(platform.origins.at("path").file, m_directory / "conf.d/20-b.conf");
  EXPECT_THAT(config.warnings, IsEmpty());
}

TEST_F(ConfigFiles, AnEmptyValueOfALaterPartIsTheDefaultAgain) {
  write("hamal.conf", "[database]\nconnection=postgresql://x\n[DEFAULT]\nhamal_lib_dir=/s\n");
  write("conf.d/a.conf", "[database]\nconnection=\n");
  EXPECT_EQ(load().state_connection(), "sqlite:///s/hamal.db");
}

TEST_F(ConfigFiles, AMistakeNamesItsPart) {
  write("hamal.conf", "");
  write("conf.d/a.conf", "\n[period]\ninterval=x\n");
  EXPECT_THAT(refusal(), HasSubstr("conf.d/a.conf:3: [period] interval"));
}

TEST_F(ConfigFiles, ANamedFileMustExistAndADefaultOneNeedNot) {
  EXPECT_THAT(refusal(), HasSubstr("hamal.conf: configuration: cannot open: No such file"));
  EXPECT_EQ(load_config(m_directory / "hamal.conf", false).period.interval, 60s);
  write("conf.d/a.conf", "[period]\ninterval=2\n");
  EXPECT_EQ(load_config(m_directory / "hamal.conf", false).period.interval, 2s);
  EXPECT_NO_THROW(load_config("/dev/null", true));
}

TEST_F(ConfigFiles, WhatIsNoFileIsRefused) {
  make_private_directories(m_directory / "hamal.conf");
  EXPECT_THAT(refusal(), HasSubstr("Is a directory"));
}

TEST_F(ConfigFiles, AHugeFileIsRefused) {
  write("hamal.conf", std::string((1U << 20U) + 1, '\n'));
  EXPECT_THAT(refusal(), HasSubstr("larger than"));
}

TEST_F(ConfigFiles, PlainSecretsInOpenFilesAreWarnedAbout) {
  write("hamal.conf", "[mass]\nauth_key=secret\n", 0644);
  EXPECT_THAT(load().warnings,
              ElementsAre(HasSubstr("hamal.conf:2: [mass] auth_key: a plain secret in a file of "
                                    "mode 0644: chmod 0640")));
  for (const mode_t mode : {0600U, 0640U, 0400U}) {
    write("hamal.conf", "[mass]\nauth_key=secret\n", mode);
    EXPECT_THAT(load().warnings, IsEmpty()) << mode;
  }
  write("hamal.conf", "[mass]\nauth_key=env:KEY\n", 0644);
  EXPECT_THAT(load().warnings, IsEmpty());
  write("hamal.conf", "[s3 a]\nsecret_key=x\n[platform v]\ntype=vmware\nsecret=x\n", 0644);
  EXPECT_THAT(load().warnings, testing::SizeIs(2));
}

TEST_F(ConfigFiles, APasswordInAConnectionIsASecret) {
  for (const char* url : {"postgresql://u:p@db/hamal", "postgresql://u@db/hamal?x=1&password=p"}) {
    write("hamal.conf", "[database]\nconnection=" + std::string(url) + "\n", 0644);
    EXPECT_THAT(load().warnings, ElementsAre(HasSubstr("[database] connection: a plain secret")));
  }
  write("hamal.conf", "[database]\nconnection=postgresql://u@[::1]:5432/d\npassword=env:X\n", 0644);
  EXPECT_THAT(load().warnings, IsEmpty());
}

TEST_F(ConfigFiles, TheModeIsThatOfThePartThatHoldsTheSecret) {
  write("hamal.conf", "", 0644);
  write("conf.d/key.conf", "[mass]\nauth_key=secret\n", 0600);
  EXPECT_THAT(load().warnings, IsEmpty());
}

TEST_F(ConfigFiles, AFileThatEveryoneCanWriteIsWarnedAbout) {
  write("hamal.conf", "", 0666);
  EXPECT_THAT(load().warnings, ElementsAre(HasSubstr("everyone can write")));
}

}  // namespace
}  // namespace hamal
