// Which temporaries are collected: those of the dead alone.
#include "hamal/store/temporary.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>

#include "util/temporary_directory.hpp"

namespace hamal {
namespace {

namespace fs = std::filesystem;

void make_old(const fs::path& path) {
  fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(2));
}

TEST(Temporary, IsPrivateAndGoesUnlessItWasRenamed) {
  const test::TemporaryDirectory folder;
  std::string path;
  {
    const Temporary temporary(folder.path());
    path = temporary.path();
    struct stat status {};
    ASSERT_EQ(::fstat(temporary.fd(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0600U);
  }
  EXPECT_FALSE(fs::exists(path));
  {
    Temporary temporary(folder.path());
    path = temporary.path();
    temporary.renamed();
  }
  EXPECT_TRUE(fs::exists(path));
}

TEST(Temporary, TheOldAndUnlockedAreCollected) {
  const test::TemporaryDirectory folder;
  const Temporary living(folder.path());
  make_old(living.path());
  std::ofstream(folder / "dead") << "x";
  make_old(folder / "dead");
  std::ofstream(folder / "young") << "x";
  fs::create_directory(folder / "directory");
  make_old(folder / "directory");
  collect_stale_temporaries(folder.path());
  EXPECT_TRUE(fs::exists(living.path()));
  EXPECT_FALSE(fs::exists(folder / "dead"));
  EXPECT_TRUE(fs::exists(folder / "young"));
  EXPECT_TRUE(fs::exists(folder / "directory"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 3);
}

TEST(Temporary, AFolderThatIsNotThereIsNoTrouble) {
  collect_stale_temporaries("/nonexistent/folder");
}

}  // namespace
}  // namespace hamal
