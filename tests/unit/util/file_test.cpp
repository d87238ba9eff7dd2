// Small files: limits, durable replacement, modes, and reads that do not stop short.
#include "hamal/util/file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <fstream>

#include "hamal/util/error.hpp"
#include "temporary_directory.hpp"

namespace hamal {
namespace {

using test::TemporaryDirectory;

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return status.st_mode & 07777U;
}

TEST(File, ReplacesAtomicallyAndPrivately) {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "a", "one");
  write_file_atomically(directory / "a", "two");
  EXPECT_EQ(read_file(directory / "a"), "two");
  EXPECT_EQ(mode_of(directory / "a"), 0600U);
  const auto entries = std::filesystem::directory_iterator(directory.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1) << "a temporary was left";
}

TEST(File, ReplacesWithTheModeThatWasAskedForWhateverTheUmask) {
  const TemporaryDirectory directory;
  const mode_t before = ::umask(077);
  write_file_atomically(directory / "shared", "for others too", 0644);
  ::umask(before);
  EXPECT_EQ(mode_of(directory / "shared"), 0644U);
}

TEST(File, AFailedReplacementLeavesTheOldFileAndNoTemporary) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "taken");
  EXPECT_THROW(write_file_atomically(directory / "taken", "x"), Error);
  const auto entries = std::filesystem::directory_iterator(directory.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST(File, ReadsNoMoreThanTheLimit) {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "a", std::string(1001, 'x'));
  EXPECT_EQ(read_file(directory / "a", 1001).size(), 1001U);
  EXPECT_THROW(read_file(directory / "a", 1000), Error);
}

TEST(File, NamesThePathThatCannotBeOpened) {
  try {
    open_file("/nonexistent/file", O_RDONLY);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.object(), "/nonexistent/file");
  }
}

TEST(File, DescriptorsAreCloseOnExec) {
  const UniqueFd fd = open_file("/dev/null", O_RDONLY);
  EXPECT_NE(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(File, PreadAndPwriteRoundTrip) {
  const TemporaryDirectory directory;
  const UniqueFd fd = open_file(directory / "a", O_RDWR | O_CREAT);
  std::array<std::byte, 100> out{};
  out.fill(std::byte{7});
  pwrite_all(fd.get(), out, 50, "a");
  std::array<std::byte, 100> in{};
  pread_all(fd.get(), in, 50, "a");
  EXPECT_EQ(in, out);
}

TEST(File, ReadingPastTheEndIsAnErrorThatNamesTheOffset) {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "a", "12345");
  const UniqueFd fd = open_file(directory / "a", O_RDONLY);
  std::array<std::byte, 4> in{};
  try {
    pread_all(fd.get(), in, 3, "disk");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("offset 5"), std::string::npos) << error.what();
  }
}

TEST(File, DirectoriesAreMadePrivateAndExistingOnesKeepTheirMode) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "open");
  ASSERT_EQ(::chmod((directory / "open").c_str(), 0755), 0);
  make_private_directories(directory / "open/a/b");
  make_private_directories(directory / "open/a/b");
  EXPECT_EQ(mode_of(directory / "open"), 0755U);
  EXPECT_EQ(mode_of(directory / "open/a"), 0700U);
  EXPECT_EQ(mode_of(directory / "open/a/b"), 0700U);
  write_file_atomically(directory / "file", "");
  EXPECT_THROW(make_private_directories(directory / "file/under"), Error);
}

}  // namespace
}  // namespace hamal
