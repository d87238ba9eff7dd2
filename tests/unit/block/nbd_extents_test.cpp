// Block status is foreign input: short replies are put together, lies are errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hamal/block/nbd_reader.hpp"
#include "hamal/util/error.hpp"
#include "lying_server.hpp"

namespace hamal {
namespace {

using ::testing::HasSubstr;
using Entries = LyingServer::Entries;

std::vector<Extent> extents_of(const LyingServer& server) {
  NbdReader reader(server.uri());
  const ExtentSourcePtr source = reader.allocated();
  std::vector<Extent> all;
  std::vector<Extent> window;
  while (source->next(window)) {
    EXPECT_FALSE(window.empty());
    EXPECT_LE(window.size(), ExtentSource::k_window_extents + 100);
    all.insert(all.end(), window.begin(), window.end());
  }
  return all;
}

std::string lie_of(const std::vector<Entries>& replies) {
  const LyingServer server(1U << 20, replies);
  try {
    extents_of(server);
  } catch (const Error& error) {
    EXPECT_EQ(error.object(), server.uri());
    return error.what();
  }
  return "believed";
}

TEST(NbdExtents, FlagsBecomeKinds) {
  // Data, a hole without zero (which may read as anything), zero, a hole that is zero.
  const LyingServer server(16384, {{{4096, 0}, {4096, 1}, {4096, 2}, {4096, 3}}});
  const std::vector<Extent> expected{{0, 8192, ExtentKind::data}, {8192, 8192, ExtentKind::zero}};
  EXPECT_EQ(extents_of(server), expected);
}

TEST(NbdExtents, ShortRepliesAreAskedOn) {
  const LyingServer server(16384, {{{4096, 0}}, {{4096, 0}, {2048, 3}}, {{6144, 3}}});
  const std::vector<Extent> expected{{0, 8192, ExtentKind::data}, {8192, 8192, ExtentKind::zero}};
  EXPECT_EQ(extents_of(server), expected);
}

TEST(NbdExtents, OneByteAtATimeStillEnds) {
  const LyingServer server(10000, {{{1, 0}}});
  const auto extents = extents_of(server);
  ASSERT_FALSE(extents.empty());
  EXPECT_EQ(extents.back().end(), 10000U);
}

TEST(NbdExtents, RepliesAreCutAtTheRequestNotBeyondTheDisk) {
  // The first request covers 4 GiB less 1 MiB: an extent may reach over its end.
  const std::uint64_t size = 8ULL << 30;
  const LyingServer server(size, {{{0xffffffff, 3}}});
  const auto extents = lie_of({{{0xffffffff, 3}}});
  EXPECT_THAT(extents, HasSubstr("beyond the end of the disk"));
  try {
    extents_of(server);
    FAIL() << "the last reply goes beyond the end";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("beyond the end of the disk"));
  }
}

TEST(NbdExtents, LiesAreErrors) {
  EXPECT_THAT(lie_of({{{0, 0}}}), HasSubstr("empty extent"));
  EXPECT_THAT(lie_of({{{4096, 0}, {0, 3}, {4096, 0}}}), HasSubstr("empty extent"));
  EXPECT_THAT(lie_of({{{1U << 20, 0}, {4096, 0}}}), HasSubstr("more about"));
  EXPECT_THAT(lie_of({{{(1U << 20) + 1, 0}}}), HasSubstr("beyond the end of the disk"));
  EXPECT_THAT(lie_of({{{4096, 0}}, {{1U << 20, 0}}}), HasSubstr("at offset 4096"));
  // No entries at all: libnbd itself refuses the reply.
  EXPECT_NE(lie_of({{}}), "believed");
}

}  // namespace
}  // namespace hamal
