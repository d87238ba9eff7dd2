// The platforms file and nbd under the suite, and what only they do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>

#include <filesystem>
#include <fstream>

#include "hamal/platform/file/file_platform.hpp"
#include "hamal/platform/nbd/nbd_platform.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "io_helpers.hpp"
#include "platform_suite.hpp"
#include "servers.hpp"

namespace hamal::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::size_t k_size = (1U << 20) + 512;

std::vector<std::byte> bytes_of(const std::string& path) {
  const std::string text = read_file(path);
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// A raw image that is changed by writing it.
class ImageLab : public PlatformLab {
 public:
  void write(std::uint64_t offset, std::span<const std::byte> data) override {
    pwrite_all(open_file(m_image, O_WRONLY).get(), data, offset, m_image);
  }
  void zero(std::uint64_t offset, std::uint64_t length) override {
    write(offset, std::vector<std::byte>(length));
  }
  std::vector<std::byte> content() override { return bytes_of(m_image); }

 protected:
  ScratchDirectory m_scratch;
  std::string m_image;
};

class ReflinkLab : public ImageLab {
 public:
  ReflinkLab() : m_mount(m_scratch) {
    m_section.values = {{"type", "file"}, {"path", m_mount.path().string()}};
    m_image = (m_mount.path() / "web01.raw").string();
    write_sparse(m_image, sample_content(k_size, 3));
  }
  std::unique_ptr<Platform> open(const std::string& mark) override {
    return make_file_platform("images", m_section, context(mark));
  }
  std::string vm() const override { return "web01"; }
  bool freezes() const override { return true; }
  bool tracks() const override { return false; }
  void lose_source(const SnapshotDocument& document) override {
    fs::remove_all(m_mount.path() / (".hamal-" + document.snapshot_id));
  }

 private:
  ReflinkMount m_mount;
  NamedSection m_section;
};

/// No section: the vm is the endpoint of an image, and the operator says that it is still.
class AdhocFileLab : public ImageLab {
 public:
  AdhocFileLab() {
    m_image = m_scratch.file("web 01.raw");
    write_sparse(m_image, sample_content(k_size, 3));
  }
  std::unique_ptr<Platform> open(const std::string& mark) override {
    return make_file_platform("file", {}, context(mark));
  }
  std::string vm() const override { return file_uri(m_image); }
  SnapshotOptions options() const override { return {Quiesce::no, Offline::yes, {}}; }
  bool is_listed() const override { return false; }
  bool freezes() const override { return false; }
  bool tracks() const override { return false; }
  void lose_source(const SnapshotDocument&) override { fs::resize_file(m_image, 4096); }
};

class NbdkitLab : public ImageLab {
 public:
  NbdkitLab() {
    m_image = m_scratch.file("disk.raw");
    write_sparse(m_image, sample_content(k_size, 3));
    m_server = start_nbdkit(m_scratch, {"file", m_image});
    m_section.name = "exports";
    m_section.values = {{"type", "nbd"}, {"uri", m_server->uri()}, {"vm", "web01"}};
  }
  std::unique_ptr<Platform> open(const std::string& mark) override {
    return make_nbd_platform("exports", m_section, context(mark));
  }
  std::string vm() const override { return "web01"; }
  SnapshotOptions options() const override { return {Quiesce::no, Offline::yes, {}}; }
  bool freezes() const override { return false; }
  bool tracks() const override { return false; }
  void lose_source(const SnapshotDocument&) override { m_server->kill(); }

 private:
  std::unique_ptr<Server> m_server;
  NamedSection m_section;
};

/// qemu-nbd with a bitmap that the operator made; one connection only, as it does by default.
class BitmapLab : public PlatformLab {
 public:
  BitmapLab() : m_image(m_scratch.file("disk.qcow2")) {
    run({"qemu-img", "create", "-q", "-f", "qcow2", m_image, "1M"});
    run({"qemu-io", "-c", "write -P 9 0 600k", m_image});
    run({"qemu-img", "bitmap", "--add", "-g", "65536", m_image, "ops"});
    start();
    m_section.name = "exports";
    m_section.values = {{"type", "nbd"}, {"disk.vda", m_uri}, {"vm", "web01"}, {"bitmap", "ops"}};
  }
  std::unique_ptr<Platform> open(const std::string& mark) override {
    return make_nbd_platform("exports", m_section, context(mark));
  }
  std::string vm() const override { return "web01"; }
  SnapshotOptions options() const override { return {Quiesce::no, Offline::yes, {}}; }
  bool freezes() const override { return false; }
  bool tracks() const override { return true; }
  bool a_commit_begins_anew() const override { return false; }
  void write(std::uint64_t offset, std::span<const std::byte> data) override {
    change("write -P " + std::to_string(std::to_integer<unsigned>(data[0])) + " " +
           std::to_string(offset) + " " + std::to_string(data.size()));
  }
  void zero(std::uint64_t offset, std::uint64_t length) override {
    change("discard " + std::to_string(offset) + " " + std::to_string(length));
  }
  std::vector<std::byte> content() override {
    m_server.reset();
    const std::string raw = m_scratch.file("content.raw");
    run({"qemu-img", "convert", "-O", "raw", m_image, raw});
    start();
    return bytes_of(raw);
  }
  void lose_source(const SnapshotDocument&) override { m_server->kill(); }

 private:
  /// The bitmap must not be recording while it is exported read-only.
  void start() {
    m_server.reset();
    run({"qemu-img", "bitmap", "--disable", m_image, "ops"});
    const std::string socket = m_scratch.file("nbd");
    fs::remove(socket);
    m_server = std::make_unique<Server>(
        std::vector<std::string>{"qemu-nbd", "--persistent", "--read-only", "--socket", socket,
                                 "--bitmap", "ops", "--format", "qcow2", m_image},
        socket);
    m_uri = m_server->uri();
  }
  void change(const std::string& command) {
    m_server.reset();
    run({"qemu-img", "bitmap", "--enable", m_image, "ops"});
    run({"qemu-io", "-d", "unmap", "-c", command, m_image});
    start();
  }

  ScratchDirectory m_scratch;
  std::string m_image;
  std::string m_uri;
  std::unique_ptr<Server> m_server;
  NamedSection m_section;
};

template <typename Lab>
PlatformKind kind(const std::string& name) {
  return {name, [] { return std::make_unique<Lab>(); }};
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, PlatformConformance,
    ::testing::Values(PlatformKind{"file_reflink", [] { return std::make_unique<ReflinkLab>(); },
                                   why_no_loop_devices},
                      kind<AdhocFileLab>("file_adhoc"), kind<NbdkitLab>("nbd_nbdkit"),
                      kind<BitmapLab>("nbd_bitmap")),
    [](const auto& one) { return one.param.name; });

/// The file platform on a file system without reflinks.
class PlainFiles : public ::testing::Test {
 protected:
  PlainFiles() {
    section.values = {{"type", "file"}, {"path", scratch.path().string()}};
    fs::create_directory(scratch.path() / "db");
    write_sparse(scratch.file("db/b.img"), sample_content(4096, 1));
    write_sparse(scratch.file("db/a.raw"), sample_content(8192, 2));
    write_sparse(scratch.file("db/notes.txt"), sample_content(10, 2));
    write_sparse(scratch.file(".hidden.raw"), sample_content(10, 2));
    platform = make_file_platform("images", section, {config, log, cancel, "0123abcd"});
  }
  ScratchDirectory scratch;
  NamedSection section;
  Config config;
  Logger log;
  CancelToken cancel;
  std::unique_ptr<Platform> platform;
};

TEST_F(PlainFiles, ADirectoryIsAVmWithItsImagesInOrder) {
  const auto vms = platform->vms();
  ASSERT_EQ(vms.size(), 1U);
  EXPECT_EQ(vms[0].id, "db");
  ASSERT_EQ(vms[0].disks.size(), 2U);
  EXPECT_EQ(vms[0].disks[0].id, "a.raw");
  EXPECT_EQ(vms[0].disks[0].size, 8192U);
  EXPECT_EQ(vms[0].disks[1].id, "b.img");
}

TEST_F(PlainFiles, SeveralDisksCannotBeFrozenTogether) {
  try {
    platform->create_snapshot("db", {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("cannot be frozen at one moment"));
    EXPECT_THAT(error.what(), HasSubstr("--offline"));
  }
  SnapshotOptions offline;
  offline.offline = Offline::yes;
  const auto document = platform->create_snapshot("db", offline);
  EXPECT_EQ(document.disks.size(), 2U);
  EXPECT_EQ(document.disk("1").id, "b.img");
}

TEST_F(PlainFiles, ARefusedReflinkLeavesNothingBehind) {
  SnapshotOptions one;
  one.disks = {"a.raw"};
  try {
    const auto document = platform->create_snapshot("db", one);
    platform->finish_snapshot(document, Outcome::failed, {});
    GTEST_SKIP() << "the temporary directory has reflinks";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no reflinks"));
    EXPECT_THAT(error.what(), HasSubstr("--offline"));
  }
  for (const auto& entry : fs::directory_iterator(scratch.path() / "db")) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".hamal")) << entry.path();
  }
}

TEST_F(PlainFiles, ForeignAndMalformedSnapshotsAreNeverRemoved) {
  const fs::path foreign = scratch.path() / "db" / ".hamal-ffff0000-20260101T000000Z-01234567";
  fs::create_directory(foreign);
  std::ofstream(foreign / "a.raw").put('x');
  const auto listed = platform->list_snapshots("db");
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_FALSE(listed[0].ours);
  EXPECT_EQ(listed[0].created, "2026-01-01T00:00:00Z");
  EXPECT_THROW(platform->delete_snapshot("db", "ffff0000-20260101T000000Z-01234567"), Error);
  for (const char* id : {"0123abcd-/../../x", "../db", "", "0123abcd-x/../../db"}) {
    EXPECT_THROW(platform->delete_snapshot("db", id), Error) << id;
  }
  EXPECT_TRUE(fs::exists(foreign / "a.raw"));
  EXPECT_TRUE(fs::exists(scratch.path() / "db" / "a.raw"));
}

TEST(NbdPlatform, AnExportIsNotFrozenWithoutTheOperatorsWord) {
  const ScratchDirectory scratch;
  const auto server = start_nbdkit(scratch, {"memory", "1M"});
  const Config config;
  Logger log;
  const CancelToken cancel;
  const auto platform = make_nbd_platform("nbd", {}, {config, log, cancel, {}});
  try {
    platform->create_snapshot(server->uri(), {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("--offline"));
  }
}

}  // namespace
}  // namespace hamal::testing
