// The order of keys, with few names in memory.
#include "hamal/store/directory_walk.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "util/temporary_directory.hpp"

namespace hamal {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;

void make(const test::TemporaryDirectory& root, const std::string& key) {
  const std::filesystem::path path = root / key;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << key;
}

std::vector<std::string> walk(const test::TemporaryDirectory& root, const std::string& prefix,
                              std::size_t names_at_once) {
  std::vector<std::string> keys;
  const CancelToken cancel;
  walk_directory(
      {root.path().string(), names_at_once}, prefix,
      [&keys](const ObjectInfo& info) {
        EXPECT_EQ(info.size, info.key.size());
        keys.push_back(info.key);
      },
      cancel);
  return keys;
}

// Sorting names without the "/" of directories puts a/b before a-b: seen to fail here.
TEST(DirectoryWalk, ADirectorySortsAsItsKeysDo) {
  const test::TemporaryDirectory root;
  for (const char* key : {"a/b", "a-b", "a0", "a.b/c", "A", "a/-"}) {
    make(root, key);
  }
  EXPECT_THAT(walk(root, "", 100), ElementsAre("A", "a-b", "a.b/c", "a/-", "a/b", "a0"));
}

TEST(DirectoryWalk, FewNamesAtATimeGiveTheSame) {
  const test::TemporaryDirectory root;
  std::mt19937 random(7);
  std::vector<std::string> keys;
  for (int i = 0; i < 150; ++i) {
    const std::string directory(1, static_cast<char>('a' + random() % 4));
    keys.push_back((i % 3 == 0 ? "" : directory + (i % 2 == 0 ? "-/" : "/")) +
                   std::to_string(random()));
    make(root, keys.back());
  }
  std::sort(keys.begin(), keys.end());
  for (const std::size_t names : {1U, 2U, 7U, 1000U}) {
    EXPECT_THAT(walk(root, "", names), ElementsAreArray(keys)) << names;
  }
}

TEST(DirectoryWalk, TellsOfKeysAlone) {
  const test::TemporaryDirectory root;
  for (const char* key : {"x/a", ".hamal-tmp/0", "lost+found/a", "x/b c", ".hidden"}) {
    make(root, key);
  }
  std::filesystem::create_symlink(root / "x/a", root / "link");
  std::filesystem::create_directory(root / "empty");
  EXPECT_THAT(walk(root, "", 100), ElementsAre(".hidden", "x/a"));
  EXPECT_THAT(walk(root, "x/", 100), ElementsAre("x/a"));
  EXPECT_THAT(walk(root, "y/", 100), IsEmpty());
  EXPECT_THAT(walk(root, ".hidden/", 100), IsEmpty());
}

TEST(DirectoryWalk, WhatIsRemovedMeanwhileIsLeftOut) {
  const test::TemporaryDirectory root;
  for (const char* key : {"a", "b/c", "d/e", "f"}) {
    make(root, key);
  }
  std::vector<std::string> keys;
  const CancelToken cancel;
  walk_directory(
      {root.path().string()}, "",
      [&](const ObjectInfo& info) {
        std::filesystem::remove_all(root / "b");
        std::filesystem::remove(root / "f");
        keys.push_back(info.key);
      },
      cancel);
  EXPECT_THAT(keys, ElementsAre("a", "d/e"));
}

}  // namespace
}  // namespace hamal
