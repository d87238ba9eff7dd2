// A directory whose file system is not mounted any more, for which a rename stands here: nothing in
// it is missing, and nothing is made where it was.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "hamal/store/directory_errors.hpp"
#include "hamal/store/directory_store.hpp"
#include "util/temporary_directory.hpp"

namespace hamal {
namespace {

namespace fs = std::filesystem;

class DirectoryAwayTest : public testing::Test {
 protected:
  DirectoryAwayTest() {
    m_store = open();
    m_store->put("a/b", std::as_bytes(std::span(m_text)));
  }
  std::unique_ptr<ObjectStore> open() {
    return open_directory_store("dir:store", m_root.string(), m_cancel);
  }
  void go_away() {
    fs::rename(m_root, m_directory / "elsewhere");
    fs::create_directory(m_root);  // where it was mounted
  }
  void come_back() {
    EXPECT_TRUE(fs::is_empty(m_root)) << "something was made there";
    fs::remove(m_root);
    fs::rename(m_directory / "elsewhere", m_root);
  }
  static void expect_away(const std::function<void()>& call) {
    try {
      call();
      FAIL() << "it found nothing amiss";
    } catch (const ObjectMissing& error) {
      FAIL() << error.what();
    } catch (const Error& error) {
      EXPECT_TRUE(error.transient()) << error.what();
    }
  }

  std::string m_text = "text";
  test::TemporaryDirectory m_directory;
  fs::path m_root = m_directory / "store";
  CancelToken m_cancel;
  std::unique_ptr<ObjectStore> m_store;
};

// Break it: take require_here() out of any one of the calls.
TEST_F(DirectoryAwayTest, EveryCallSaysThatItIsAwayAndGoesOnLater) {
  const auto bytes = std::as_bytes(std::span(m_text));
  const auto upload = m_store->upload("d");
  upload->append(bytes);
  go_away();
  expect_away([&] { m_store->put("c", bytes); });
  expect_away([&] { m_store->put_if_absent("c", bytes); });
  expect_away([&] { m_store->upload("c"); });
  expect_away([&] { upload->finish(); });
  expect_away([&] { m_store->get("a/b", 100); });
  expect_away([&] {
    std::byte byte{};
    m_store->get_range("a/b", 0, {&byte, 1});
  });
  expect_away([&] { m_store->head("a/b"); });
  expect_away([&] { m_store->list("", [](const ObjectInfo&) {}); });
  expect_away([&] { m_store->remove("a/b"); });
  expect_away([&] { m_store->now(); });
  come_back();
  EXPECT_EQ(m_store->get("a/b", 100), m_text);
  EXPECT_TRUE(m_store->put_if_absent("c", bytes));
  EXPECT_FALSE(m_store->head("d"));
}

TEST_F(DirectoryAwayTest, ForOneWhoHasOnlyReadToo) {
  const auto reader = open();
  EXPECT_EQ(reader->get("a/b", 100), m_text);
  go_away();
  expect_away([&] { reader->get("a/b", 100); });
  come_back();
}

TEST_F(DirectoryAwayTest, WhatNeverWasIsEmpty) {
  m_store = open_directory_store("dir:new", (m_directory / "new").string(), m_cancel);
  EXPECT_FALSE(m_store->head("a/b"));
  EXPECT_THROW(m_store->get("a/b", 100), ObjectMissing);
}

TEST(DirectoryErrorTest, WhatMayPassIsTransient) {
  for (const int passes : {ENOSPC, EDQUOT, ESTALE, ENOTCONN, ETIMEDOUT}) {
    EXPECT_TRUE(directory_error("cannot", "a", passes).transient()) << passes;
  }
  for (const int stays : {EIO, EROFS, EACCES, ENAMETOOLONG}) {
    EXPECT_FALSE(directory_error("cannot", "a", stays).transient()) << stays;
  }
}

}  // namespace
}  // namespace hamal
