// Whose a clone is, and what a file system without clones means. The clones themselves are tested
// on a real XFS by tests/cli/rollback.bats.
#include "hamal/target/restore_clone.hpp"

#include <gtest/gtest.h>
#include <sys/xattr.h>

#include "hamal/util/error.hpp"
#include "hamal/util/file.hpp"
#include "hamal/util/random_id.hpp"

namespace hamal {
namespace {

namespace fs = std::filesystem;

class RestoreCloneTest : public ::testing::Test {
 protected:
  RestoreCloneTest() {
    fs::create_directories(m_directory);
    write_file_atomically(m_target, "as committed");
  }
  ~RestoreCloneTest() override { fs::remove_all(m_directory); }

  // What a killed run of `installation` left; false where the file system has no attributes.
  bool leave(const std::string& tag) const {
    write_file_atomically(m_path, "left");
    return ::setxattr(m_path.c_str(), "user.hamal.restore", tag.data(), tag.size(), 0) == 0;
  }
  std::string canonical() const { return "file:" + m_target.string(); }

  fs::path m_directory = fs::temp_directory_path() / ("hamal-clone-" + random_hex(8));
  fs::path m_target = m_directory / "disk.raw";
  fs::path m_path = m_directory / "disk.raw.hamal-restore";
  RestoreClone m_clone{canonical(), "installation"};
};

TEST_F(RestoreCloneTest, LiesBesideTheTarget) {
  EXPECT_EQ(m_clone.path(), m_path);
  EXPECT_TRUE(RestoreClone("nbd:host", "installation").path().empty());
  EXPECT_FALSE(RestoreClone("device:serial", "installation").make({1, "disk"}).empty());
  EXPECT_TRUE(RestoreClone("device:serial", "installation").remove());
}

// Seen to fail when make() does not look at whose it is.
TEST_F(RestoreCloneTest, AFileOfThatNameThatIsNotOursIsNeverTouched) {
  write_file_atomically(m_path, "somebody's");
  EXPECT_FALSE(m_clone.holds({1, "disk"}));
  EXPECT_NE(m_clone.make({1, "disk"}).find("in the way"), std::string::npos);
  EXPECT_FALSE(m_clone.remove());
  EXPECT_EQ(read_file(m_path), "somebody's");
  if (leave("another " + canonical() + " 1 disk")) {
    EXPECT_FALSE(m_clone.holds({1, "disk"}));
    EXPECT_FALSE(m_clone.remove());
  }
}

TEST_F(RestoreCloneTest, OursIsKnownByItsAttributeAndRemoved) {
  if (!leave("installation " + canonical() + " 7 disk")) {
    GTEST_SKIP() << "no extended attributes in " << m_directory;
  }
  EXPECT_TRUE(m_clone.holds({7, "disk"}));
  EXPECT_FALSE(m_clone.holds({8, "disk"}));
  EXPECT_FALSE(m_clone.holds({7, "another"}));
  EXPECT_TRUE(m_clone.remove());
  EXPECT_FALSE(fs::exists(m_path));
  EXPECT_TRUE(m_clone.remove()) << "none there is no error";
}

// Either there is a whole one, or none at all and a reason.
TEST_F(RestoreCloneTest, MakesAWholeOneOrNone) {
  const std::string missing = m_clone.make({3, "disk"});
  if (missing.empty()) {
    EXPECT_TRUE(m_clone.holds({3, "disk"}));
    EXPECT_EQ(read_file(m_path), "as committed");
    return;
  }
  EXPECT_NE(missing.find("cannot clone files"), std::string::npos) << missing;
  EXPECT_EQ(std::distance(fs::directory_iterator(m_directory), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace hamal
