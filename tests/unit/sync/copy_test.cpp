// The parallel copy: every planned byte arrives, no other is touched, errors and stops leave the
// loop.
#include "hamal/sync/copy.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <thread>
#include <tuple>

#include "hamal/extent/algebra.hpp"
#include "sync/memory_disk.hpp"

namespace hamal {
namespace {

using test::Completion;
using test::fill_random;
using test::MemoryDisk;
using test::MemoryReader;
using test::MemoryWriter;

struct Case {
  Completion source;
  Completion target;
  unsigned readers;
};

class CopyTest : public testing::TestWithParam<Case> {
 protected:
  CopyStats copy(MemoryDisk& from, MemoryDisk& to, ExtentSourcePtr plan, Blank blank) {
    MemoryReader reader(from);
    MemoryWriter writer(to);
    CopyStats stats;
    copy_extents({reader,
                  writer,
                  *plan,
                  m_finished,
                  blank,
                  {.readers = GetParam().readers,
                   .max_readers = GetParam().readers,
                   .memory = 8U << 20,
                   .retry_pause = std::chrono::milliseconds(1)},
                  "vm/disk",
                  *m_progress,
                  m_cancel},
                 stats);
    return stats;
  }
  MemoryDisk source(std::size_t size) { return MemoryDisk(size, GetParam().source); }

  FinishedRanges m_finished;
  std::unique_ptr<Progress> m_progress = make_progress(ProgressMode::quiet);
  CancelToken m_cancel;
};

constexpr std::size_t k_odd_size = (5U << 20) + 777;

TEST_P(CopyTest, FullCopyIsIdenticalWithAnUnalignedTail) {
  MemoryDisk from(k_odd_size, GetParam().source);
  MemoryDisk to(k_odd_size, GetParam().target);
  fill_random(from, 1);
  const auto stats = copy(from, to, whole_disk(k_odd_size, ExtentKind::data), Blank::yes);
  EXPECT_TRUE(from.bytes == to.bytes);
  EXPECT_EQ(stats.read_bytes, k_odd_size);
  EXPECT_EQ(stats.written_bytes + stats.skipped_bytes, k_odd_size);
  EXPECT_EQ(stats.zeroed_bytes, 0U);
  EXPECT_EQ(to.flushes, 0) << "flushing is the caller's";
}

TEST_P(CopyTest, OverwritingLeavesNoOldByte) {
  MemoryDisk from(k_odd_size, GetParam().source);
  MemoryDisk to(k_odd_size, GetParam().target);
  fill_random(from, 2);
  std::fill(to.bytes.begin(), to.bytes.end(), std::byte{0xee});
  copy(from, to, whole_disk(k_odd_size, ExtentKind::data), Blank::no);
  EXPECT_TRUE(from.bytes == to.bytes);
}

TEST_P(CopyTest, OnlyPlannedRangesAreTouched) {
  MemoryDisk from(4U << 20, GetParam().source);
  MemoryDisk to(4U << 20, GetParam().target);
  fill_random(from, 3);
  std::fill(to.bytes.begin(), to.bytes.end(), std::byte{0xee});
  auto expected = to.bytes;
  std::vector<Extent> plan;
  for (std::size_t block = 3; block < 1000; block += 7) {
    const auto kind = block % 2 == 0 ? ExtentKind::zero : ExtentKind::data;
    plan.push_back({block * 4096, 4096, kind});
    for (std::size_t at = block * 4096; at < (block + 1) * 4096; ++at) {
      expected[at] = kind == ExtentKind::zero ? std::byte{0} : from.bytes[at];
    }
  }
  const auto stats = copy(from, to, vector_source(plan, 10), Blank::no);
  EXPECT_TRUE(to.bytes == expected);
  EXPECT_EQ(to.written_blocks.size(), plan.size());
  EXPECT_EQ(stats.read_requests, from.reads);
}

TEST_P(CopyTest, ZeroExtentsAreNeverReadAndSkippedOnBlankTargets) {
  MemoryDisk from(1U << 20, GetParam().source);
  MemoryDisk to(1U << 20, GetParam().target);
  const auto stats = copy(from, to, whole_disk(1U << 20, ExtentKind::zero), Blank::yes);
  EXPECT_EQ(from.reads, 0U);
  EXPECT_EQ(to.zeros, 0U);
  EXPECT_EQ(stats.skipped_bytes, 1U << 20);
}

TEST_P(CopyTest, OneBadSectorCostsItsOwnBlockAndNoOther) {
  MemoryDisk from(4U << 20, GetParam().source);
  MemoryDisk to(4U << 20, GetParam().target);
  std::fill(from.bytes.begin(), from.bytes.end(), std::byte{4});
  from.bad_offset = (3U << 20) + 5000;
  const auto stats = copy(from, to, whole_disk(4U << 20, ExtentKind::data), Blank::yes);
  const std::vector<Extent> bad{{(3U << 20) + 4096, 4096, ExtentKind::data}};
  EXPECT_EQ(stats.unreadable, bad);
  EXPECT_NE(describe(stats.unreadable_reason).find("bad range"), std::string::npos);
  EXPECT_GT(stats.retried_requests, 0U);
  EXPECT_EQ(stats.read_bytes, (4U << 20) - 4096);
  auto expected = from.bytes;
  std::fill_n(expected.begin() + (3 << 20) + 4096, 4096, std::byte{0});
  EXPECT_TRUE(to.bytes == expected);
  // What is finished says so: the next run has the bad block to read and nothing else.
  const std::vector<Extent> finished{{0, (3U << 20) + 4096, ExtentKind::data},
                                     {(3U << 20) + 8192, (1U << 20) - 8192, ExtentKind::data}};
  EXPECT_EQ(m_finished.ranges(), finished);
}

// 8192 pieces, none of which can be read: there is no point in splitting them all.
TEST_P(CopyTest, ASourceThatFailsEverywhereIsGivenUpSoon) {
  constexpr std::size_t k_pieces = 8192;
  MemoryDisk from(k_pieces * 8192, GetParam().source);
  MemoryDisk to(k_pieces * 8192, GetParam().target);
  from.all_bad = true;
  std::vector<Extent> plan;
  for (std::uint64_t at = 0; at < k_pieces; ++at) {
    plan.push_back({at * 8192, 4096, ExtentKind::data});
  }
  EXPECT_THROW(copy(from, to, vector_source(plan), Blank::no), Error);
  EXPECT_LT(from.reads, 2 * k_pieces);
  EXPECT_TRUE(m_finished.ranges().empty());
}

TEST_P(CopyTest, ATransientReadErrorIsTheConnectionsAndThrown) {
  MemoryDisk from(4U << 20, GetParam().source);
  MemoryDisk to(4U << 20, GetParam().target);
  fill_random(from, 4);
  from.bad_offset = 3U << 20;
  from.bad = Transience::transient;
  EXPECT_THROW(copy(from, to, whole_disk(4U << 20, ExtentKind::data), Blank::yes), Error);
}

// As of a key that is not configured: the range is as good as any other.
TEST_P(CopyTest, AnErrorOfTheConfigurationIsThrownAtOnceAndNotARanges) {
  MemoryDisk from(4U << 20, GetParam().source);
  MemoryDisk to(4U << 20, GetParam().target);
  from.bad_offset = 3U << 20;
  from.bad_kind = ErrorKind::usage;
  try {
    copy(from, to, whole_disk(4U << 20, ExtentKind::data), Blank::yes);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
  }
}

// Break it: pieces of a fixed size, whatever the source prefers: 64 reads.
TEST_P(CopyTest, ASourceIsReadInThePiecesThatItPrefersAndMemoryHasRoomFor) {
  constexpr std::size_t k_size = 16U << 20;
  for (const auto& [preferred, memory, reads] :
       {std::tuple<std::uint32_t, std::uint64_t, std::uint64_t>{4U << 20, 64U << 20, 4},
        {4U << 20, 4U << 20, 32},       // eight at once, of 512 KiB
        {32U << 20, 256U << 20, 4},     // bounded
        {64U << 10, 64U << 20, 64}}) {  // nor smaller
    MemoryDisk from(k_size, GetParam().source);
    MemoryDisk to(k_size, GetParam().target);
    fill_random(from, 6);
    from.preferred = preferred;
    MemoryReader reader(from);
    MemoryWriter writer(to);
    CopyStats stats;
    const auto plan = whole_disk(k_size, ExtentKind::data);
    FinishedRanges finished;
    copy_extents({reader,
                  writer,
                  *plan,
                  finished,
                  Blank::yes,
                  {.readers = 2, .max_readers = 2, .memory = memory},
                  "vm/disk",
                  *m_progress,
                  m_cancel},
                 stats);
    EXPECT_TRUE(from.bytes == to.bytes);
    EXPECT_EQ(from.reads, reads) << preferred << " in " << memory;
  }
}

TEST_P(CopyTest, WhatIsFinishedMergesToOneRangeAcrossThePlansGaps) {
  MemoryDisk from(8U << 20, GetParam().source);
  MemoryDisk to(8U << 20, GetParam().target);
  fill_random(from, 5);
  std::vector<Extent> plan;
  for (std::uint64_t at = 4096; at < (8U << 20); at += 12288) {
    plan.push_back({at, 4096, ExtentKind::data});
  }
  copy(from, to, vector_source(plan), Blank::no);
  const std::vector<Extent> finished{{0, plan.back().end(), ExtentKind::data}};
  EXPECT_EQ(m_finished.ranges(), finished);
}

TEST_P(CopyTest, NothingUnwrittenIsEverFinished) {
  MemoryDisk from(4U << 20, GetParam().source);
  MemoryDisk to(4U << 20, GetParam().target);
  std::fill(from.bytes.begin(), from.bytes.end(), std::byte{6});
  to.bad_offset = (2U << 20) + 77;
  EXPECT_THROW(copy(from, to, whole_disk(4U << 20, ExtentKind::data), Blank::yes), Error);
  for (const Extent& range : m_finished.ranges()) {
    for (std::uint64_t at = range.offset; at < range.end(); ++at) {
      ASSERT_EQ(to.bytes[at], std::byte{6}) << at;
    }
  }
}

TEST_P(CopyTest, WriteErrorIsThrown) {
  MemoryDisk from(4U << 20, GetParam().source);
  MemoryDisk to(4U << 20, GetParam().target);
  std::fill(from.bytes.begin(), from.bytes.end(), std::byte{1});
  to.bad_offset = 3U << 20;
  EXPECT_THROW(copy(from, to, whole_disk(4U << 20, ExtentKind::data), Blank::yes), Error);
}

TEST_P(CopyTest, CancellingStopsWithTheSignal) {
  MemoryDisk from(4U << 20, GetParam().source);
  MemoryDisk to(4U << 20, GetParam().target);
  m_cancel.request(SIGTERM);
  try {
    copy(from, to, whole_disk(4U << 20, ExtentKind::data), Blank::yes);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::terminated);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Queues, CopyTest,
    testing::Values(Case{Completion::at_once, Completion::at_once, 1},
                    Case{Completion::at_once, Completion::later_shuffled, 3},
                    Case{Completion::later_shuffled, Completion::at_once, 2},
                    Case{Completion::later_shuffled, Completion::later_shuffled, 1},
                    Case{Completion::later_shuffled, Completion::later_shuffled, 16}));

}  // namespace
}  // namespace hamal
