// The order in which a put becomes durable, seen from below: the calls that count are replaced here
// by ones that note them and may fail. Seen to fail without the flush of the temporary, without
// that of the directory, of the ones above it, and after a failed flush that was ignored.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>

#include "hamal/store/directory_store.hpp"
#include "hamal/util/file.hpp"
#include "util/temporary_directory.hpp"

namespace {

struct Calls {
  std::string root;
  std::vector<std::string> seen;
  std::function<int(const std::string&)> fail;  ///< errno of the call, or 0

  /// The path below the root; temporaries are all called alike.
  std::string name(std::string path) const {
    if (path.find("/.hamal-tmp/") != std::string::npos) {
      return "temporary";
    }
    if (path == root) {
      return ".";
    }
    return path.starts_with(root + "/") ? path.substr(root.size() + 1) : "above";
  }
  bool note(const std::string& call) {
    seen.push_back(call);
    errno = fail ? fail(call) : 0;
    return errno == 0;
  }
};

Calls* g_calls = nullptr;

}  // namespace

extern "C" int fsync(int fd) {
  if (g_calls != nullptr &&
      !g_calls->note("flush " + g_calls->name(std::filesystem::read_symlink("/proc/self/fd/" +
                                                                            std::to_string(fd))))) {
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

extern "C" int rename(const char* from, const char* to) noexcept {
  if (g_calls != nullptr &&
      !g_calls->note("rename " + g_calls->name(from) + " " + g_calls->name(to))) {
    return -1;
  }
  return static_cast<int>(::syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to));
}

extern "C" int link(const char* from, const char* to) noexcept {
  if (g_calls != nullptr &&
      !g_calls->note("link " + g_calls->name(from) + " " + g_calls->name(to))) {
    return -1;
  }
  return static_cast<int>(::syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0));
}

namespace hamal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class DirectoryDurability : public ::testing::Test {
 public:
  DirectoryDurability() {
    store->put("first", bytes("x"));  // what is done once is done
    calls.root = (directory / "store").string();
    g_calls = &calls;
  }
  ~DirectoryDurability() override { g_calls = nullptr; }

  bool has(const std::string& key) { return std::filesystem::exists(directory / ("store/" + key)); }
  bool has_temporaries() { return !std::filesystem::is_empty(directory / "store/.hamal-tmp"); }

  std::string problem_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }

  test::TemporaryDirectory directory;
  CancelToken cancel;
  std::unique_ptr<ObjectStore> store =
      open_directory_store("dir:x", (directory / "store").string(), cancel);
  Calls calls;
};

TEST_F(DirectoryDurability, PutFlushesTheBytesThenTheNames) {
  store->put("a/b/c", bytes("x"));
  EXPECT_THAT(calls.seen, ElementsAre("flush temporary", "rename temporary a/b/c", "flush a/b",
                                      "flush a", "flush ."));
}

TEST_F(DirectoryDurability, PutIfAbsentLinks) {
  EXPECT_TRUE(store->put_if_absent("a/b", bytes("x")));
  EXPECT_THAT(calls.seen,
              ElementsAre("flush temporary", "link temporary a/b", "flush a", "flush ."));
  EXPECT_FALSE(has_temporaries());
}

// The one that made it may not have come to flush its name yet.
TEST_F(DirectoryDurability, AnObjectThatIsThereIsDurableBeforeItIsTold) {
  store->put("a/b", bytes("x"));
  calls.seen.clear();
  EXPECT_FALSE(store->put_if_absent("a/b", bytes("y")));
  EXPECT_THAT(calls.seen,
              ElementsAre("flush temporary", "link temporary a/b", "flush a", "flush ."));
}

TEST_F(DirectoryDurability, UploadIsFlushedOnceWhole) {
  const auto upload = store->upload("u");
  upload->append(bytes("one"));
  upload->append(bytes("two"));
  EXPECT_THAT(calls.seen, IsEmpty());
  upload->finish();
  EXPECT_THAT(calls.seen, ElementsAre("flush temporary", "rename temporary u", "flush ."));
}

TEST_F(DirectoryDurability, RemoveFlushesTheDirectory) {
  store->put("a/b", bytes("x"));
  calls.seen.clear();
  store->remove("a/b");
  EXPECT_THAT(calls.seen, ElementsAre("flush a", "flush ."));
  EXPECT_FALSE(has("a"));
}

TEST_F(DirectoryDurability, AFlushThatFailsLeavesNoObject) {
  calls.fail = [](const std::string& call) { return call == "flush temporary" ? EIO : 0; };
  EXPECT_THAT(problem_of([&] { store->put("k", bytes("x")); }), HasSubstr("cannot flush"));
  EXPECT_THAT(problem_of([&] { store->put_if_absent("k", bytes("x")); }),
              HasSubstr("cannot flush"));
  EXPECT_FALSE(has("k"));
  EXPECT_FALSE(has_temporaries());
}

TEST_F(DirectoryDurability, ADirectoryThatCannotBeFlushedIsAnError) {
  for (const char* where : {"flush a", "flush ."}) {
    calls.fail = [where](const std::string& call) { return call == where ? EIO : 0; };
    EXPECT_THAT(problem_of([&] { store->put("a/b", bytes("x")); }), HasSubstr("cannot flush"));
    EXPECT_THAT(problem_of([&] { store->put_if_absent("a/b", bytes("x")); }),
                HasSubstr("cannot flush"));
    EXPECT_THAT(problem_of([&] { store->remove("a/b"); }), HasSubstr("cannot flush"));
  }
}

TEST_F(DirectoryDurability, AFullDiskSaysSo) {
  calls.fail = [](const std::string& call) { return call == "flush temporary" ? ENOSPC : 0; };
  EXPECT_THAT(problem_of([&] { store->put("k", bytes("x")); }), HasSubstr("free space there"));
}

TEST_F(DirectoryDurability, WithoutHardLinksThereIsNoPutIfAbsent) {
  calls.fail = [](const std::string& call) { return call.starts_with("link") ? EPERM : 0; };
  EXPECT_THAT(problem_of([&] { store->put_if_absent("k", bytes("x")); }),
              HasSubstr("has no hard links"));
}

// NFS repeats a link whose reply was lost.
TEST_F(DirectoryDurability, ALinkThatWasMadeAfterAllCounts) {
  calls.fail = [this](const std::string& call) {
    if (!call.starts_with("link")) {
      return 0;
    }
    const std::filesystem::path root = directory / "store";
    for (const auto& entry : std::filesystem::directory_iterator(root / ".hamal-tmp")) {
      std::filesystem::create_hard_link(entry.path(), root / "k");
    }
    return EEXIST;
  };
  // The test's own link comes through the replaced call too.
  const auto fail = std::move(calls.fail);
  bool inside = false;
  calls.fail = [&](const std::string& call) {
    if (inside) {
      return 0;
    }
    inside = true;
    const int error = fail(call);
    inside = false;
    return error;
  };
  EXPECT_TRUE(store->put_if_absent("k", bytes("x")));
}

// Another process takes the empty directory away between mkdir and rename.
TEST_F(DirectoryDurability, ADirectoryThatIsRemovedMeanwhileIsMadeAgain) {
  int times = 2;
  calls.fail = [&](const std::string& call) {
    if (times > 0 && (call.starts_with("rename") || call.starts_with("link"))) {
      --times;
      std::filesystem::remove_all(directory / "store/a");
      return ENOENT;
    }
    return 0;
  };
  store->put("a/b/c", bytes("x"));
  EXPECT_TRUE(has("a/b/c"));
  times = 1;
  EXPECT_TRUE(store->put_if_absent("a/b/d", bytes("x")));
  EXPECT_TRUE(has("a/b/d"));
}

TEST_F(DirectoryDurability, TheStoreItselfIsMadeDurable) {
  calls.root = (directory / "new/deep").string();
  const auto other = open_directory_store("dir:y", calls.root, cancel);
  other->list("", [](const ObjectInfo&) {});
  EXPECT_FALSE(std::filesystem::exists(directory / "new"));
  calls.root = directory.path().string();
  other->put("k", bytes("x"));
  EXPECT_THAT(calls.seen, ElementsAre("flush new", "flush .", "flush temporary",
                                      "rename temporary new/deep/k", "flush new/deep"));
  struct stat status {};
  ASSERT_EQ(::stat((directory / "new/deep/k").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  ASSERT_EQ(::stat((directory / "new").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0700U);
}

}  // namespace
}  // namespace hamal
