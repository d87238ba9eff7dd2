// The extent stream: round trips however the bytes arrive.
#include "hamal/stream/extent_stream.hpp"

#include <chrono>
#include <map>
#include <random>

#include "feed.hpp"

namespace hamal::test {
namespace {

using Lists = std::map<std::size_t, std::vector<Extent>>;

Lists read_all_of(int fd) {
  ExtentStreamReader reader(fd, "test");
  Lists lists;
  std::size_t disk = 0;
  std::vector<Extent> window;
  while (reader.next(disk, window)) {
    EXPECT_FALSE(window.empty());
    EXPECT_LE(window.size(), ExtentSource::k_window_extents);
    lists[disk].insert(lists[disk].end(), window.begin(), window.end());
  }
  EXPECT_FALSE(reader.next(disk, window)) << "the end must stay the end";
  return lists;
}

TEST(ExtentStream, RoundTripsWhateverTheChunks) {
  std::random_device device;
  const unsigned first = device();
  for (unsigned seed = first; seed < first + 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::string bytes;
    ExtentStreamWriter writer(append_to(bytes), two_disks());
    Lists expected;
    std::uint64_t ends[2] = {0, 0};
    for (auto i = random() % 300; i > 0; --i) {
      const std::size_t disk = random() % 2;
      const Extent extent{ends[disk] + random() % 2 * 512, 1 + random() % 2000,
                          random() % 2 == 0 ? ExtentKind::data : ExtentKind::zero};
      ends[disk] = extent.end();
      expected[disk].push_back(extent);
      writer.extents(disk, {&extent, 1});
    }
    writer.finish();
    const Dribble pipe(bytes, 1 + random() % 4000, seed % 2 == 0);
    ASSERT_EQ(read_all_of(pipe.fd()), expected);
  }
}

TEST(ExtentStream, GivesTheHeaderBack) {
  std::string bytes;
  ExtentStreamWriter(append_to(bytes), two_disks()).finish();
  const UniqueFd fd = memory_file(bytes);
  EXPECT_EQ(ExtentStreamReader(fd.get(), "test").header(), two_disks());
}

TEST(ExtentStream, AnEmptyListIsNoError) {
  std::string bytes;
  ExtentStreamWriter(append_to(bytes), two_disks()).finish();
  const UniqueFd fd = memory_file(bytes);
  EXPECT_TRUE(read_all_of(fd.get()).empty());
}

TEST(ExtentStream, TakesAnySpellingAndIgnoresOtherFields) {
  std::string bytes;
  ExtentStreamWriter writer(append_to(bytes), two_disks());
  bytes +=
      "{ \"kind\" : \"zero\", \"length\":512 , \"offset\":0,\"disk\":\"vd\\u0061\",\"x\":[1.5]}\r\n"
      "{\"disk\":\"vda\",\"offset\":512,\"length\":1,\"kind\":\"data\",\"note\":\"\"}\n"
      "{\"disk\":\"vd\\\"b\\\\\",\"offset\":7,\"length\":2,\"kind\":\"data\"}\n"
      "{\"later\":1,\"trailer\":{\"vda\":{\"extents\":2,\"data_bytes\":1,\"zero_bytes\":512},"
      "\"vd\\\"b\\\\\":{\"extents\":1,\"data_bytes\":2,\"zero_bytes\":0}}}\n";
  const UniqueFd fd = memory_file(bytes);
  EXPECT_EQ(read_all_of(fd.get()),
            (Lists{{0, {{0, 512, ExtentKind::zero}, {512, 1, ExtentKind::data}}},
                   {1, {{7, 2, ExtentKind::data}}}}));
}

TEST(ExtentStream, HandsOnWhatHasArrived) {
  std::string bytes;
  ExtentStreamWriter writer(append_to(bytes), one_disk());
  bytes += "{\"disk\":\"vda\",\"offset\":0,\"length\":1,\"kind\":\"data\"}\n{\"disk\":";
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  ASSERT_EQ(::write(ends[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  ExtentStreamReader reader(ends[0], "test");
  std::size_t disk = 1;
  std::vector<Extent> window;
  ASSERT_TRUE(reader.next(disk, window)) << "waits for the rest while an extent is there";
  EXPECT_EQ(window, (std::vector<Extent>{{0, 1, ExtentKind::data}}));
  EXPECT_EQ(disk, 0U);
}

TEST(ExtentStream, StartsFromAPrefix) {
  std::string bytes;
  ExtentStreamWriter writer(append_to(bytes), one_disk());
  const Extent extent{0, 512, ExtentKind::data};
  writer.extents(0, {&extent, 1});
  writer.finish();
  for (const std::size_t cut : {std::size_t{1}, std::size_t{100}, bytes.size()}) {
    const UniqueFd rest = memory_file(bytes.substr(cut));
    ExtentStreamReader reader(rest.get(), "test", bytes.substr(0, cut));
    std::size_t disk = 0;
    std::vector<Extent> window;
    EXPECT_TRUE(reader.next(disk, window));
    EXPECT_FALSE(reader.next(disk, window));
  }
}

TEST(ExtentStream, TheWriterChecksItsCaller) {
  std::string bytes;
  ExtentStreamWriter writer(append_to(bytes), one_disk());
  const std::vector<Extent> overlapping{{0, 10, ExtentKind::data}, {5, 10, ExtentKind::data}};
  EXPECT_THROW(writer.extents(0, overlapping), std::logic_error);
  EXPECT_THROW(writer.extents(1, {}), std::logic_error);
  EXPECT_THROW(writer.fail(ExitStatus::done, ""), std::logic_error);
  writer.finish();
  EXPECT_THROW(writer.finish(), std::logic_error);
  EXPECT_THROW(writer.fail(ExitStatus::failed, ""), std::logic_error);
  EXPECT_THROW(writer.extents(0, {}), std::logic_error);
}

TEST(ExtentStream, TheWriterRefusesAHeaderThatNobodyWouldTake) {
  std::string bytes;
  StreamHeader header = one_disk();
  header.disks.push_back(header.disks[0]);
  EXPECT_THROW(ExtentStreamWriter(append_to(bytes), header), Error);
  header = one_disk();
  header.disks[0].id = "vd\xff";
  EXPECT_THROW(ExtentStreamWriter(append_to(bytes), header), Error);
  EXPECT_EQ(bytes, "");
  header = one_disk();
  header.vm_name = "caf\xe9";
  ExtentStreamWriter(append_to(bytes), header).finish();
  EXPECT_NE(bytes.find("caf\xef\xbf\xbd"), std::string::npos);
}

TEST(ExtentStream, AMillionExtentsPass) {
  std::string bytes;
  ExtentStreamWriter writer(append_to(bytes), one_disk(std::uint64_t{1} << 44));
  for (std::uint64_t i = 0; i < 1'000'000; ++i) {
    const Extent extent{i << 17, 65536, ExtentKind::data};
    writer.extents(0, {&extent, 1});
  }
  writer.finish();
  const UniqueFd fd = memory_file(bytes);
  const auto start = std::chrono::steady_clock::now();
  ExtentStreamReader reader(fd.get(), "test");
  std::size_t disk = 0;
  std::size_t count = 0;
  for (std::vector<Extent> window; reader.next(disk, window);) {
    count += window.size();
  }
  EXPECT_EQ(count, 1'000'000U);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  RecordProperty("seconds", std::to_string(seconds.count()));
}

}  // namespace
}  // namespace hamal::test
