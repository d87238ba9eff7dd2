// Reading a disk in order with several requests under way.
#include "hamal/sync/read_ahead.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <random>

#include "hamal/extent/sources.hpp"
#include "hamal/util/error.hpp"
#include "memory_disk.hpp"

namespace hamal {
namespace {

using test::Completion;
using test::MemoryDisk;
using test::MemoryReader;

void fill_randomly(MemoryDisk& disk) {
  std::mt19937 random(7);
  for (std::byte& byte : disk.bytes) {
    byte = static_cast<std::byte>(random());
  }
}

class ReadAheadTest : public ::testing::TestWithParam<Completion> {};

TEST_P(ReadAheadTest, gives_every_extent_in_order_cut_into_requests) {
  MemoryDisk disk(1 << 20, GetParam());
  fill_randomly(disk);
  MemoryReader reader(disk);
  const std::vector<Extent> extents{{0, 10'000, ExtentKind::data},
                                    {10'000, 300'000, ExtentKind::zero},
                                    {400'000, 1, ExtentKind::data},
                                    {500'000, 500'000, ExtentKind::data}};
  CancelToken cancel;
  ReadAhead ahead(reader, vector_source(extents, 2), cancel, 4096, 5);
  std::vector<Extent> joined;
  Piece piece;
  while (ahead.next(piece)) {
    if (piece.kind == ExtentKind::data) {
      ASSERT_EQ(piece.bytes.size(), piece.length);
      ASSERT_LE(piece.length, 4096U);
      ASSERT_EQ(std::memcmp(piece.bytes.data(), disk.bytes.data() + piece.offset, piece.length), 0);
    } else {
      ASSERT_TRUE(piece.bytes.empty());
    }
    if (!joined.empty() && joined.back().end() == piece.offset &&
        joined.back().kind == piece.kind) {
      joined.back().length += piece.length;
    } else {
      joined.push_back({piece.offset, piece.length, piece.kind});
    }
  }
  EXPECT_EQ(joined, extents);
  EXPECT_FALSE(ahead.next(piece));
}

TEST_P(ReadAheadTest, reads_nothing_for_zeros_and_an_empty_list) {
  MemoryDisk disk(1 << 20, GetParam());
  MemoryReader reader(disk);
  CancelToken cancel;
  ReadAhead zeros(reader, whole_disk(1 << 20, ExtentKind::zero), cancel);
  Piece piece;
  EXPECT_TRUE(zeros.next(piece));
  EXPECT_EQ(piece.length, 1U << 20);
  EXPECT_FALSE(zeros.next(piece));
  ReadAhead nothing(reader, empty_source(), cancel);
  EXPECT_FALSE(nothing.next(piece));
  EXPECT_EQ(disk.reads, 0U);
}

TEST_P(ReadAheadTest, an_error_comes_where_its_bytes_would_and_not_before) {
  MemoryDisk disk(1 << 20, GetParam());
  disk.bad_offset = 50'000;
  MemoryReader reader(disk);
  CancelToken cancel;
  ReadAhead ahead(reader, whole_disk(1 << 20, ExtentKind::data), cancel, 4096, 8);
  Piece piece;
  std::uint64_t good = 0;
  try {
    while (ahead.next(piece)) {
      good = piece.offset + piece.length;
    }
    FAIL() << "the bad block was read";
  } catch (const Error&) {
  }
  EXPECT_EQ(good, 50'000U / 4096 * 4096);
}

TEST_P(ReadAheadTest, stops_when_cancelled) {
  MemoryDisk disk(1 << 20, GetParam());
  MemoryReader reader(disk);
  CancelToken cancel;
  ReadAhead ahead(reader, whole_disk(1 << 20, ExtentKind::data), cancel, 4096, 8);
  Piece piece;
  ASSERT_TRUE(ahead.next(piece));
  cancel.request(SIGINT);
  EXPECT_THROW(ahead.next(piece), Error);
}

INSTANTIATE_TEST_SUITE_P(completions, ReadAheadTest,
                         ::testing::Values(Completion::at_once, Completion::later_shuffled));

}  // namespace
}  // namespace hamal
