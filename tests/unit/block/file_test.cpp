// Raw files: what the reader refuses, and zeros and flushes of the writer.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "hamal/block/file_reader.hpp"
#include "hamal/block/file_writer.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"

namespace hamal {
namespace {

using ::testing::HasSubstr;

class Done final : public IoCompletion {
 public:
  void io_done(std::exception_ptr failure) noexcept override {
    ++told;
    error = failure;
  }
  int told = 0;
  std::exception_ptr error;
};

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "hamal-unit-XXXXXX").string();
    directory = ::mkdtemp(name.data());
    path = (directory / "disk.raw").string();
  }
  ~FileTest() override { std::filesystem::remove_all(directory); }

  FileWriter writer(std::uint64_t size) {
    UniqueFd fd = open_file(path, O_RDWR | O_CREAT);
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(size)), 0);
    return {"file:" + path, std::move(fd), size, FileWriter::Metadata::changed};
  }

  std::filesystem::path directory;
  std::string path;
};

std::string message_of(const std::string& path) {
  try {
    const FileReader reader("file:" + path, path);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST_F(FileTest, OnlyFilesAndBlockDevicesAreRead) {
  EXPECT_THAT(message_of(path), HasSubstr("No such file"));
  EXPECT_THAT(message_of(directory.string()), HasSubstr("is a directory"));
  EXPECT_THAT(message_of("/dev/null"), HasSubstr("neither a regular file nor a block device"));
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(message_of(path), HasSubstr("neither a regular file nor a block device"));
}

TEST_F(FileTest, AnEmptyImageHasNoExtents) {
  writer(0);
  FileReader reader("file:" + path, path);
  EXPECT_EQ(reader.size(), 0U);
  std::vector<Extent> window{{1, 1, ExtentKind::data}};
  EXPECT_FALSE(reader.allocated()->next(window));
  EXPECT_TRUE(window.empty());
}

TEST_F(FileTest, AFileThatShrinksIsAnErrorOfItsReads) {
  writer(8192);
  FileReader reader("file:" + path, path);
  std::filesystem::resize_file(path, 4096);
  std::vector<std::byte> buffer(8192);
  const auto queue = reader.open_queue();
  Done done;
  queue->read(0, buffer, done);
  EXPECT_EQ(done.told, 1);
  ASSERT_TRUE(done.error);
  EXPECT_THAT(describe(done.error), HasSubstr("truncated"));
}

TEST_F(FileTest, ManyExtentsComeInBoundedWindows) {
  constexpr std::uint64_t k_pieces = 2100;  // twice as many extents: more than a window
  {
    FileWriter file = writer(k_pieces * 8192);
    const auto queue = file.open_queue();
    const std::vector<std::byte> block(4096, std::byte{1});
    for (std::uint64_t i = 0; i < k_pieces; ++i) {
      Done done;
      queue->write(i * 8192, block, done);
    }
  }
  FileReader reader("file:" + path, path);
  const ExtentSourcePtr source = reader.allocated();
  std::vector<Extent> window;
  std::uint64_t at = 0;
  while (source->next(window)) {
    EXPECT_LE(window.size(), ExtentSource::k_window_extents + 1);
    for (const Extent& extent : window) {
      ASSERT_EQ(extent.offset, at);
      at = extent.end();
    }
  }
  EXPECT_EQ(at, reader.size());
}

TEST_F(FileTest, ZeroFreesWhatItCovers) {
  FileWriter file = writer(1U << 20);
  const auto queue = file.open_queue();
  const std::vector<std::byte> data(1U << 20, std::byte{1});
  Done written;
  queue->write(0, data, written);
  file.flush();
  Done zeroed;
  queue->zero(4096, (1U << 20) - 8192, zeroed);
  file.flush();
  EXPECT_FALSE(zeroed.error);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 1 << 20);
  EXPECT_LT(status.st_blocks, 100);
}

TEST_F(FileTest, NothingIsWrittenBeyondTheDisk) {
  FileWriter file = writer(4096);
  const auto queue = file.open_queue();
  const std::vector<std::byte> data(4096, std::byte{1});
  Done written;
  queue->write(1, data, written);
  EXPECT_TRUE(written.error);
  Done zeroed;
  queue->zero(4096, 1, zeroed);
  EXPECT_TRUE(zeroed.error);
  Done overflow;
  queue->zero(~std::uint64_t{0}, 2, overflow);
  EXPECT_TRUE(overflow.error);
  EXPECT_EQ(std::filesystem::file_size(path), 4096U);
}

TEST_F(FileTest, AFullFileSystemIsToldWithAHint) {
  FileWriter file("file:/dev/full", open_file("/dev/full", O_RDWR), 4096,
                  FileWriter::Metadata::settled);
  const auto queue = file.open_queue();
  const std::vector<std::byte> data(4096, std::byte{1});
  Done done;
  queue->write(0, data, done);
  EXPECT_THAT(describe(done.error), HasSubstr("free space there"));
}

TEST_F(FileTest, AFailedFlushIsRemembered) {
  // A pipe cannot be flushed, nor can the writer know why a flush failed.
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  FileWriter file("file:pipe", UniqueFd(ends[1]), 4096, FileWriter::Metadata::settled);
  EXPECT_THROW(file.flush(), Error);
  try {
    file.flush();
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("earlier flush failed"));
  }
}

}  // namespace
}  // namespace hamal
