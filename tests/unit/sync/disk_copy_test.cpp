// Outages: what was not flushed is copied again, what never comes back is given up.
#include "hamal/sync/disk_copy.hpp"

#include <gtest/gtest.h>

#include "sync/memory_disk.hpp"

namespace hamal {
namespace {

using namespace std::chrono_literals;
using test::MemoryDisk;
using test::MemoryReader;
using test::MemoryWriter;

constexpr std::size_t k_size = 4U << 20;

class DiskCopyTest : public testing::Test {
 protected:
  DiskCopyTest() { std::fill(from.bytes.begin(), from.bytes.end(), std::byte{7}); }

  DiskCopyRequest request() {
    return {.open_source = [this]() -> std::unique_ptr<BlockReader> {
              ++opened;
              reopen();
              return std::make_unique<MemoryReader>(from);
            },
            .reopen_target = [this]() -> BlockWriter& { return writer; },
            .plan = [] { return whole_disk(k_size, ExtentKind::data); },
            .blank = Blank::no,
            .pace = {.readers = 2, .max_readers = 2, .memory = 8U << 20, .retry_pause = 1ms},
            .object = "vm/disk",
            .total = k_size,
            .outage_max = outage_max,
            .restart_grace = restart_grace,
            .progress = *progress,
            .log = log,
            .cancel = cancel};
  }

  void run() { copy_disk(request(), std::make_unique<MemoryReader>(from), writer, durable, stats); }

  MemoryDisk from{k_size};
  MemoryDisk to{k_size};
  MemoryWriter writer{to};
  std::function<void()> reopen = [] {};
  int opened = 0;
  std::chrono::milliseconds outage_max{20'000};
  std::chrono::milliseconds restart_grace{100};
  std::unique_ptr<Progress> progress = make_progress(ProgressMode::quiet);
  Logger log;
  CancelToken cancel;
  int recorded = 0;
  DurableProgress durable{
      {}, {1h, {}}, [this](const auto&) { ++recorded; }, std::chrono::steady_clock::now()};
  DiskCopyStats stats;
};

TEST_F(DiskCopyTest, AnOutageThatEndsCostsWhatWasNotFlushed) {
  from.bad_offset = k_size / 2;
  from.bad = Transience::transient;
  reopen = [this] { from.bad_offset = ~std::size_t{0}; };
  run();
  EXPECT_EQ(stats.outages, 1U);
  EXPECT_EQ(opened, 1);
  EXPECT_TRUE(to.bytes == from.bytes);
  EXPECT_GE(stats.copied.read_bytes, k_size) << "nothing was flushed before: all of it again";
}

TEST_F(DiskCopyTest, AnOutageThatDoesNotEndIsTemporary) {
  outage_max = 300ms;
  from.bad_offset = k_size / 2;
  from.bad = Transience::transient;
  try {
    run();
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(error.transient());
  }
  EXPECT_GT(opened, 0);
}

// Waiting hours for what cannot come back would only delay the snapshot that helps.
TEST_F(DiskCopyTest, ASnapshotThatIsGoneIsNoOutage) {
  from.bad_offset = 0;
  from.bad = Transience::transient;
  reopen = [] {
    throw SnapshotGone(
        Error(ErrorKind::failed, "not held any more", "s", "", Transience::transient));
  };
  outage_max = 1h;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(run(), Error);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10min) << "it was waited for like an outage";
}

TEST_F(DiskCopyTest, AnInterruptEndsTheWaiting) {
  from.bad_offset = 0;
  from.bad = Transience::transient;
  reopen = [this] {
    cancel.request(15);
    throw Error(ErrorKind::failed, "refused", "s", "", Transience::transient);
  };
  try {
    run();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::terminated);
  }
}

// Break it by recording before the flush: the order of the two is wrong.
TEST(DurableProgressTest, NothingIsRecordedThatWasWrittenAfterTheFlushBegan) {
  MemoryDisk disk(4096);
  struct Writer final : BlockWriter {
    explicit Writer(MemoryDisk& memory) : inner(memory) {}
    const std::string& uri() const noexcept override { return inner.uri(); }
    std::uint64_t size() const noexcept override { return inner.size(); }
    std::unique_ptr<WriteQueue> open_queue() override { return inner.open_queue(); }
    unsigned max_queues() const noexcept override { return 1; }
    std::uint32_t max_request() const noexcept override { return 4096; }
    void flush(const FlushBounds&) override { while_flushing(); }
    MemoryWriter inner;
    std::function<void()> while_flushing = [] {};
  } writer(disk);
  std::vector<Extent> recorded;
  DurableProgress durable({}, {0ms, {}}, [&](const auto& ranges) { recorded = ranges; }, {});
  durable.written().add(0, 100);
  writer.while_flushing = [&] {
    EXPECT_TRUE(recorded.empty()) << "recorded before it was flushed";
    durable.written().add(200, 300);
  };
  durable.tick(writer, std::chrono::steady_clock::now());
  const std::vector<Extent> expected{{0, 100, ExtentKind::data}};
  EXPECT_EQ(recorded, expected);
  // A flush that fails makes nothing durable, and what it was to cover is given up.
  writer.while_flushing = [] { throw Error(ErrorKind::failed, "EIO", "t"); };
  EXPECT_THROW(durable.tick(writer, std::chrono::steady_clock::now() + 1s), Error);
  EXPECT_EQ(durable.durable(), expected);
  durable.void_unflushed();
  EXPECT_EQ(durable.written().ranges(), expected);
}

}  // namespace
}  // namespace hamal
