// One worker by itself: what the crew's tests meet only by chance.
#include "hamal/sync/copy_worker.hpp"

#include <gtest/gtest.h>

#include "sync/memory_disk.hpp"

namespace hamal {
namespace {

using namespace std::chrono_literals;

// Its own read may be what failed last: nobody else is there any more to try it again. Break it by
// retiring whatever the queue holds: the piece is never written.
TEST(CopyWorkerTest, ARetiredOneStaysForWhatFailedOnceThePlanIsDealtOut) {
  test::MemoryDisk from(65536);
  test::MemoryDisk to(65536);
  std::fill(from.bytes.begin(), from.bytes.end(), std::byte{9});
  test::MemoryReader source(from);
  test::MemoryWriter target(to);
  const auto plan = whole_disk(65536, ExtentKind::data);
  FinishedRanges finished;
  const auto progress = make_progress(ProgressMode::quiet);
  const CancelToken cancel;
  const CopyRequest request{.source = source,
                            .target = target,
                            .plan = *plan,
                            .finished = finished,
                            .blank = Blank::no,
                            .pace = {},
                            .object = "vm/disk",
                            .progress = *progress,
                            .cancel = cancel};
  CopyQueue queue(*plan, 65536, 65536, finished, 1ms);
  CopyQueue::TimePoint when{};
  CopyPiece piece;
  ASSERT_EQ(queue.next(piece, {}, when), CopyQueue::Next::piece);
  CopyPiece none;
  ASSERT_EQ(queue.next(none, {}, when), CopyQueue::Next::end);
  queue.read_failed(piece, std::make_exception_ptr(Error(ErrorKind::failed, "EIO", "s")),
                    std::chrono::steady_clock::now());

  CopyTimes times;
  std::atomic<bool> stop{false};
  std::atomic<unsigned> wanted{1};
  std::atomic<std::uint64_t> under_way{0};
  std::atomic<std::uint64_t> answered{0};
  std::atomic<std::uint64_t> moved{0};
  const CopyShared shared{.request = request,
                          .work = queue,
                          .times = times,
                          .stop = stop,
                          .wanted = wanted,
                          .under_way = under_way,
                          .answered = answered,
                          .moved = moved,
                          .slots = 4,
                          .piece_bytes = 65536};
  CopyWorker(shared, 1, source.open_queue(), target.open_queue()).run();
  EXPECT_TRUE(to.bytes == from.bytes);
  EXPECT_FALSE(queue.has_retries());
  EXPECT_EQ(under_way.load(), 0U);
  EXPECT_EQ(finished.ranges().size(), 1U);
}

}  // namespace
}  // namespace hamal
