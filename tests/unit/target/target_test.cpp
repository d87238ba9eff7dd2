// Identities, patterns, and everything that is refused before a byte is written.
#include "hamal/target/target.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "hamal/block/awaited_io.hpp"
#include "hamal/target/kinds.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/subprocess.hpp"

namespace hamal {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

template <typename Call>
Error error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorKind::failed, "nothing was thrown"};
}

class TargetTest : public ::testing::Test {
 protected:
  TargetTest() {
    std::string name = (fs::temp_directory_path() / "hamal-unit-XXXXXX").string();
    directory = fs::canonical(::mkdtemp(name.data()));
    path = directory / "disk.raw";
  }
  ~TargetTest() override { fs::remove_all(directory); }

  static Endpoint file(const fs::path& at) { return parse_endpoint(file_uri(at.string())); }

  fs::path directory;
  fs::path path;
};

TEST_F(TargetTest, ACreatedFileIsSparsePrivateAndLocked) {
  const auto target = open_target(file(path), 1ULL << 33, {});
  EXPECT_TRUE(target->created());
  EXPECT_EQ(target->canonical(), "file:" + path.string());
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 1LL << 33);
  EXPECT_EQ(status.st_blocks, 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(error_of([&] { open_target(file(path), 1ULL << 33, {}); }).kind(), ErrorKind::busy);
}

TEST_F(TargetTest, OneFileHasOneIdentityUnderAllNames) {
  fs::create_directory_symlink(directory, directory / "link");
  const std::string canonical = canonical_target(file(path));
  EXPECT_EQ(canonical_target(file(directory / "link" / "disk.raw")), canonical);
  EXPECT_EQ(canonical_target(file(directory / "x" / ".." / "." / "disk.raw")), canonical);
  fs::create_symlink("disk.raw", directory / "dangling.raw");
  EXPECT_EQ(canonical_target(file(directory / "dangling.raw")), canonical);
  const auto target = open_target(file(directory / "dangling.raw"), 4096, {});
  EXPECT_EQ(target->canonical(), canonical);
  EXPECT_EQ(canonical_target(file(directory / "dangling.raw")), canonical);
  EXPECT_TRUE(fs::is_regular_file(path));
}

TEST_F(TargetTest, HardLinksExcludeEachOther) {
  open_target(file(path), 4096, {});
  fs::create_hard_link(path, directory / "other.raw");
  const auto target = open_target(file(path), 4096, {});
  EXPECT_EQ(error_of([&] { open_target(file(directory / "other.raw"), 4096, {}); }).kind(),
            ErrorKind::busy);
}

TEST_F(TargetTest, AnotherSizeIsRefusedUnlessResizeIsAllowed) {
  open_target(file(path), 8192, {});
  for (const std::uint64_t size : {4096U, 16384U}) {
    const Error error = error_of([&] { open_target(file(path), size, {}); });
    EXPECT_EQ(error.kind(), ErrorKind::wrong_target);
    EXPECT_THAT(error.what(), HasSubstr("8192 bytes"));
    EXPECT_THAT(error.what(), HasSubstr("--resize"));
    EXPECT_EQ(fs::file_size(path), 8192U);
  }
  TargetOptions options;
  options.resize = Resize::allow;
  EXPECT_FALSE(open_target(file(path), 16384, options)->created());
  EXPECT_EQ(fs::file_size(path), 16384U);
  open_target(file(path), 4096, options);
  EXPECT_EQ(fs::file_size(path), 4096U);
}

TEST_F(TargetTest, OnlyRegularFilesAreFiles) {
  EXPECT_THAT(error_of([&] { open_target(file(directory), 4096, {}); }).what(),
              HasSubstr("is a directory"));
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const Error error = error_of([&] { open_target(file(path), 4096, {}); });
  EXPECT_EQ(error.kind(), ErrorKind::wrong_target);
  EXPECT_THAT(error.what(), HasSubstr("neither a regular file nor a block device"));
  EXPECT_EQ(error_of([&] { open_target(parse_endpoint("/dev/null"), 4096, {}); }).kind(),
            ErrorKind::wrong_target);
}

TEST_F(TargetTest, AMissingDirectoryIsNamed) {
  const Error error = error_of([&] { open_target(file(directory / "no" / "x"), 4096, {}); });
  EXPECT_THAT(error.what(), HasSubstr("create " + (directory / "no").string() + " first"));
}

TEST_F(TargetTest, ATooLargeFileLeavesNothingBehind) {
  const Error error = error_of([&] { open_target(file(path), 1ULL << 62, {}); });
  EXPECT_THAT(error.what(), HasSubstr("XFS"));
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(TargetTest, AFileThatAnotherProgramHasLockedIsRefused) {
  open_target(file(path), 4096, {});
  const UniqueFd other = open_file(path, O_RDWR);
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = 100;  // as QEMU does for a running machine
  lock.l_len = 1;
  ASSERT_EQ(::fcntl(other.get(), F_OFD_SETLK, &lock), 0);
  const Error error = error_of([&] { open_target(file(path), 4096, {}); });
  EXPECT_EQ(error.kind(), ErrorKind::wrong_target);
  EXPECT_THAT(error.what(), HasSubstr("locked"));
}

TEST(CanonicalNbd, IsTheSameWhateverTheSpelling) {
  const auto canonical = [](const char* uri) { return canonical_target(parse_endpoint(uri)); };
  EXPECT_EQ(canonical("nbd://Host/disk%31"), "nbd:host:10809/disk1");
  EXPECT_EQ(canonical("nbds://user@host:10809/disk1?tls-verify-peer=1"), "nbd:host:10809/disk1");
  EXPECT_EQ(canonical("nbd://host"), "nbd:host:10809/");
  EXPECT_EQ(canonical("nbd://[::1]/x"), "nbd:[::1]:10809/x");
  EXPECT_EQ(canonical("nbd://[::1]:99/x"), "nbd:[::1]:99/x");
  EXPECT_EQ(canonical("nbd+unix:///x?socket=/nowhere/./a%20b"), "nbd:unix:/nowhere/a b:x");
  EXPECT_EQ(canonical("nbds+unix:///x?tls-verify-peer=0&socket=/nowhere/../s"), "nbd:unix:/s:x");
}

TEST(TargetPattern, WordsAreReplacedAndMadeSafe) {
  EXPECT_EQ(expand_target_pattern("file:/b/{vm}-{disk}.{index}.{vm_id}", "web", "id-1", "vda", 3),
            "file:/b/web-vda.3.id-1");
  EXPECT_EQ(expand_target_pattern("file:/b/{vm}", "../../etc\n", "", "", 0), "file:/b/.._.._etc_");
  EXPECT_EQ(expand_target_pattern("file:/b/{vm}/{disk}", "..", "", "", 0), "file:/b/_/_");
  const std::string odd = expand_target_pattern("file:/b/{vm}", "a b%2F{disk}", "", "d", 0);
  EXPECT_EQ(parse_endpoint(odd).path, "/b/a b%2F{disk}");
  EXPECT_EQ(expand_target_pattern("nbd://h/x", "v", "i", "d", 0), "nbd://h/x");
  EXPECT_EQ(error_of([] { expand_target_pattern("{name}", "", "", "", 0); }).kind(),
            ErrorKind::usage);
  EXPECT_THAT(error_of([] { expand_target_pattern("a{vm", "", "", "", 0); }).what(),
              HasSubstr("without"));
}

TEST(OpenTarget, PlatformsAreNoTargets) {
  EXPECT_EQ(error_of([] { open_target(parse_endpoint("lab:vm/disk"), 1, {}); }).kind(),
            ErrorKind::usage);
}

/// What is put where, and whether it is something.
struct Head {
  const char* name;
  std::size_t offset;
  std::string bytes;
  const char* found;
};

class Signatures : public ::testing::TestWithParam<Head> {};

TEST_P(Signatures, AreRecognized) {
  const std::string name = (fs::temp_directory_path() / "hamal-sig").string() + GetParam().name;
  std::string content(1U << 20, '\0');
  content.replace(GetParam().offset, GetParam().bytes.size(), GetParam().bytes);
  std::ofstream(name, std::ios::binary) << content;
  const UniqueFd fd = open_file(name, O_RDONLY);
  EXPECT_EQ(device_signature(fd.get(), content.size(), name), GetParam().found);
  // A device too small for the place of a signature is read no further than its end.
  EXPECT_EQ(device_signature(fd.get(), GetParam().offset, name), "");
  fs::remove(name);
}

std::string mbr(char status, char type) {
  std::string sector(512, '\0');
  sector[446] = status;
  sector[450] = type;
  sector[510] = '\x55';
  sector[511] = '\xaa';
  return sector;
}

INSTANTIATE_TEST_SUITE_P(
    All, Signatures,
    ::testing::Values(Head{"blank", 0, std::string(512, '\0'), ""},
                      Head{"gpt", 512, "EFI PART", "a GPT partition table"},
                      Head{"ext", 0x438, "\x53\xef", "an ext2, ext3 or ext4 file system"},
                      Head{"xfs", 0, "XFSB", "an XFS file system"},
                      Head{"btrfs", 0x10040, "_BHRfS_M", "a btrfs file system"},
                      Head{"swap", 4086, "SWAPSPACE2", "swap space"},
                      Head{"luks", 0, "LUKS\xba\xbe", "a LUKS volume"},
                      Head{"lvm", 0x218, "LVM2 001", "an LVM2 physical volume"},
                      Head{"mbr", 0, mbr('\x80', '\x83'), "an MBR partition table"},
                      Head{"bootsector", 0, mbr('\x12', '\x83'), ""},
                      Head{"emptytable", 0, mbr(0, 0), ""}),
    [](const auto& one) { return one.param.name; });

/// Real devices: loop devices over files.
class DeviceTarget : public TargetTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || !fs::exists("/dev/loop-control")) {
      GTEST_SKIP() << "loop devices need root and /dev/loop-control";
    }
    std::ofstream(path).put('\0');
    fs::resize_file(path, 8U << 20);
    const ProcessResult result = run_process({"losetup", "--find", "--show", path.string()});
    if (result.exit_code != 0) {
      GTEST_SKIP() << result.stderr_text;
    }
    device = result.stdout_text.substr(0, result.stdout_text.find('\n'));
  }
  void TearDown() override {
    if (!device.empty()) {
      run_process({"losetup", "--detach", device});
    }
  }
  std::string device;
};

TEST_F(DeviceTarget, ItsIdentityIsWhatBacksIt) {
  EXPECT_EQ(canonical_target(parse_endpoint(device)), "device:loop:" + path.string());
  const auto target = open_target(parse_endpoint(device), 8U << 20, {});
  EXPECT_EQ(target->canonical(), "device:loop:" + path.string());
  EXPECT_EQ(target->open_reader()->size(), 8U << 20);
  EXPECT_EQ(error_of([&] { open_target(parse_endpoint(device), 4096, {}); }).kind(),
            ErrorKind::busy);
}

TEST_F(DeviceTarget, ASmallerOneIsRefused) {
  const Error error = error_of([&] { open_target(parse_endpoint(device), 9U << 20, {}); });
  EXPECT_EQ(error.kind(), ErrorKind::wrong_target);
  EXPECT_THAT(error.what(), HasSubstr("less than the disk"));
}

TEST_F(DeviceTarget, AFileSystemIsRefusedUnlessKnownOrForced) {
  ASSERT_EQ(run_process({"mkfs.ext4", "-q", device}).exit_code, 0);
  const Error error = error_of([&] { open_target(parse_endpoint(device), 4096, {}); });
  EXPECT_EQ(error.kind(), ErrorKind::wrong_target);
  EXPECT_THAT(error.what(), HasSubstr("ext4"));
  TargetOptions options;
  options.known = true;
  EXPECT_FALSE(open_target(parse_endpoint(device), 4096, options)->created());
  EXPECT_EQ(open_target(parse_endpoint(device), 4096, options)->overridden(), "");
  options = {};
  options.force = Force::yes;
  const auto forced = open_target(parse_endpoint(device), 4096, options);
  EXPECT_FALSE(forced->created());
  EXPECT_THAT(forced->overridden(), HasSubstr("the device holds an ext2"));
}

TEST_F(DeviceTarget, APartitionTableIsRefusedUnlessKnownOrForced) {
  const UniqueFd fd = open_file(device, O_RDWR);
  const std::string table = mbr('\x80', '\x83');
  ASSERT_EQ(::pwrite(fd.get(), table.data(), table.size(), 0), 512);
  const Error error = error_of([&] { open_target(parse_endpoint(device), 4096, {}); });
  EXPECT_EQ(error.kind(), ErrorKind::wrong_target);
  EXPECT_THAT(error.what(), HasSubstr("an MBR partition table"));
  TargetOptions options;
  options.force = Force::yes;
  EXPECT_THAT(open_target(parse_endpoint(device), 4096, options)->overridden(), HasSubstr("MBR"));
  options = {};
  options.known = true;
  EXPECT_EQ(open_target(parse_endpoint(device), 4096, options)->overridden(), "");
}

TEST_F(DeviceTarget, OneThatSomebodyHoldsIsRefusedEvenByForce) {
  const UniqueFd holder(::open(device.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
  ASSERT_TRUE(holder);
  TargetOptions options;
  options.force = Force::yes;
  options.known = true;
  const Error error = error_of([&] { open_target(parse_endpoint(device), 4096, options); });
  EXPECT_EQ(error.kind(), ErrorKind::wrong_target);
  EXPECT_THAT(error.what(), HasSubstr("mounted or held"));
}

// As LVM, multipath and cryptsetup hold what they lie on.
TEST_F(DeviceTarget, OneUnderADeviceMapperIsRefusedEvenByForce) {
  const std::string name = "hamal-unit-" + directory.filename().string();
  std::vector<std::string> create = {"dmsetup", "create", name, "--table"};
  create.push_back("0 16384 linear " + device + " 0");
  try {
    if (run_process(create).exit_code != 0) {
      GTEST_SKIP() << "no device mapper can be had here";
    }
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  TargetOptions options;
  options.force = Force::yes;
  const Error error = error_of([&] { open_target(parse_endpoint(device), 4096, options); });
  run_process({"dmsetup", "remove", name});
  EXPECT_EQ(error.kind(), ErrorKind::wrong_target);
  EXPECT_THAT(error.what(), HasSubstr("mounted or held"));
}

// Seen to fail with a writer of the device's own size.
TEST_F(DeviceTarget, OfALargerOneTheTailIsLeftAlone) {
  constexpr std::uint64_t k_disk = (4U << 20) + 512;
  const std::string tail((8U << 20) - k_disk, '\x77');
  {
    const UniqueFd fd = open_file(device, O_RDWR);
    ASSERT_EQ(::pwrite(fd.get(), tail.data(), tail.size(), k_disk),
              static_cast<ssize_t>(tail.size()));
    ASSERT_EQ(::fsync(fd.get()), 0);
  }
  {
    const auto target = open_target(parse_endpoint(device), k_disk, {});
    EXPECT_EQ(target->writer().size(), k_disk);
    EXPECT_EQ(target->open_reader()->size(), k_disk);
    const auto queue = target->writer().open_queue();
    AwaitedIo zeroed;
    queue->zero(0, target->writer().size(), zeroed);
    zeroed.wait(*queue);
    const std::vector<std::byte> data(1536, std::byte{1});
    AwaitedIo written;
    queue->write(target->writer().size() - data.size(), data, written);
    written.wait(*queue);
    target->writer().flush();
  }
  std::string found(tail.size(), '\0');
  const UniqueFd fd = open_file(device, O_RDONLY);
  ASSERT_EQ(::pread(fd.get(), found.data(), found.size(), k_disk),
            static_cast<ssize_t>(found.size()));
  EXPECT_TRUE(found == tail);
}

TEST_F(DeviceTarget, AMountedOneIsRefusedEvenByForce) {
  ASSERT_EQ(run_process({"mkfs.ext4", "-q", device}).exit_code, 0);
  const fs::path mount = directory / "mount";
  fs::create_directory(mount);
  ASSERT_EQ(run_process({"mount", device, mount.string()}).exit_code, 0);
  TargetOptions options;
  options.force = Force::yes;
  const Error error = error_of([&] { open_target(parse_endpoint(device), 4096, options); });
  run_process({"umount", mount.string()});
  EXPECT_EQ(error.kind(), ErrorKind::wrong_target);
  EXPECT_THAT(error.what(), HasSubstr("mounted or held"));
}

}  // namespace
}  // namespace hamal
