// The pace of a copy: how it yields, how long it lets storage be silent, when it takes more disks.
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>
#include <utility>

#include "hamal/sync/copy.hpp"
#include "hamal/sync/plan.hpp"
#include "hamal/sync/sync_run.hpp"
#include "hamal/util/random_id.hpp"
#include "sync/memory_disk.hpp"

namespace hamal {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using test::Completion;
using test::MemoryDisk;
using test::MemoryReader;
using test::MemoryWriter;

// Only lower bounds: what else takes time is the machine's.
TEST(CopyPaceTest, AWorkerYieldsAfterEachMib) {
  constexpr std::size_t k_mibs = 8;
  MemoryDisk from(k_mibs << 20, Completion::at_once);
  MemoryDisk to(k_mibs << 20, Completion::at_once);
  MemoryReader source(from);
  MemoryWriter target(to);
  const auto progress = make_progress(ProgressMode::quiet);
  const CancelToken cancel;
  const auto throttled = [&](std::chrono::milliseconds release) {
    FinishedRanges finished;
    CopyStats stats;
    const auto plan = whole_disk(k_mibs << 20, ExtentKind::data);
    copy_extents({.source = source,
                  .target = target,
                  .plan = *plan,
                  .finished = finished,
                  .pace = {.readers = 1, .max_readers = 1, .release = release},
                  .object = "vm/disk",
                  .progress = *progress,
                  .cancel = cancel},
                 stats);
    return stats.times.throttle_ms;
  };
  EXPECT_EQ(throttled(0ms), 0U);
  // The copying itself goes on while a worker yields, so what was waited for may be less.
  const auto begin = steady_clock::now();
  EXPECT_GT(throttled(20ms), 0U);
  EXPECT_GE(steady_clock::now() - begin, k_mibs * 20ms);
}

/// Answers only what `may_answer` lets it, and no sooner than in ten milliseconds.
class GatedReader final : public BlockReader {
 public:
  GatedReader(std::uint64_t size, std::function<bool(std::uint64_t number)> may_answer)
      : m_size(size), m_may_answer(std::move(may_answer)) {}
  const std::string& uri() const noexcept override { return m_uri; }
  std::uint64_t size() const noexcept override { return m_size; }
  unsigned max_queues() const noexcept override { return 1; }
  std::uint32_t max_request() const noexcept override { return 1U << 20; }
  std::uint32_t preferred_request() const noexcept override { return 1U << 20; }
  ExtentSourcePtr allocated() override { return whole_disk(m_size, ExtentKind::data); }
  std::unique_ptr<ReadQueue> open_queue() override { return std::make_unique<Queue>(m_may_answer); }

 private:
  class Queue final : public ReadQueue {
   public:
    explicit Queue(const std::function<bool(std::uint64_t)>& may_answer)
        : m_may_answer(may_answer) {}
    void add_poll_fds(std::vector<pollfd>&) const override {}
    void read(std::uint64_t, std::span<std::byte>, IoCompletion& done) override {
      m_asked.push_back(&done);
    }
    void progress() override {
      std::this_thread::sleep_for(10ms);
      std::vector<IoCompletion*> later;
      for (IoCompletion* done : std::exchange(m_asked, {})) {
        if (m_may_answer(m_answered)) {
          ++m_answered;
          done->io_done(nullptr);
        } else {
          later.push_back(done);
        }
      }
      m_asked.insert(m_asked.end(), later.begin(), later.end());
    }

   private:
    const std::function<bool(std::uint64_t)>& m_may_answer;
    std::vector<IoCompletion*> m_asked;
    std::uint64_t m_answered = 0;
  };
  std::uint64_t m_size;
  std::function<bool(std::uint64_t)> m_may_answer;
  std::string m_uri = "gated:source";
};

TEST(CopyPaceTest, StorageThatIsSilentIsNotWaitedForForEver) {
  MemoryDisk to(4U << 20);
  GatedReader source(4U << 20, [](std::uint64_t number) { return number == 0; });
  MemoryWriter target(to);
  const auto progress = make_progress(ProgressMode::quiet);
  const CancelToken cancel;
  const auto plan = whole_disk(4U << 20, ExtentKind::data);
  FinishedRanges finished;
  CopyStats stats;
  const auto begin = steady_clock::now();
  try {
    copy_extents({.source = source,
                  .target = target,
                  .plan = *plan,
                  .finished = finished,
                  .pace = {.readers = 1, .max_readers = 1, .stall_max = 500ms},
                  .object = "vm/disk",
                  .progress = *progress,
                  .cancel = cancel},
                 stats);
    ADD_FAILURE() << "it was copied";
  } catch (const Error& error) {
    EXPECT_TRUE(error.transient());
    EXPECT_NE(std::string(error.what()).find("neither source nor target has answered"),
              std::string::npos)
        << error.what();
  }
  EXPECT_GE(steady_clock::now() - begin, 500ms);
}

// The first disk goes on only once a second one has begun: with one at a time it would never end.
TEST(CopyPaceTest, WhereLatencyIsWaitedForMoreDisksAreTakenAtOnce) {
  constexpr std::uint64_t k_size = 16U << 20;
  const auto directory = std::filesystem::temp_directory_path() / ("hamal-pace-" + random_hex(8));
  std::filesystem::create_directories(directory);
  const auto state = open_state("sqlite://" + (directory / "hamal.db").string());
  Logger log;
  const auto progress = make_progress(ProgressMode::quiet);
  CancelToken cancel;
  StreamHeader header;
  header.platform = "lab";
  header.vm_id = "vm-1";
  header.vm_name = "web01";
  std::vector<Endpoint> targets;
  std::vector<DiskChanges> changes;
  for (const char* const id : {"a", "b", "c"}) {
    auto& disk = header.disks.emplace_back();
    disk.id = id;
    disk.size = k_size;
    changes.push_back({disk, whole_disk(k_size, ExtentKind::data)});
    targets.push_back(parse_endpoint("file:" + (directory / id).string()));
  }
  auto disks = collect_plans(changes, directory / "plans", cancel);
  std::atomic<unsigned> begun{0};
  const auto may_answer = [&](std::uint64_t number) { return number < 4 || begun.load() > 1; };
  const SyncSource source{[&](const StreamDisk&) {
                            ++begun;
                            return std::make_unique<GatedReader>(k_size, may_answer);
                          },
                          [](const StreamDisk&) {}};
  SyncOptions options;
  options.readers = 1;
  options.max_readers = 1;
  options.parallel_disks = 1;
  options.max_parallel_disks = 2;
  options.outage_max = 60s;  // if it never takes a second one, this ends it
  const SyncContext context{.state = *state,
                            .log = log,
                            .progress = *progress,
                            .cancel = cancel,
                            .clock = system_clock(),
                            .holder = {"run", "test"},
                            .lock_path = [&](const std::string& target) {
                              return directory / ("lock-" + target.substr(target.rfind('/') + 1));
                            }};
  const auto result = run_sync(header, disks, targets, source, options, context);
  EXPECT_EQ(result.status(), ExitStatus::done) << result.disks[0].error;
  EXPECT_EQ(begun.load(), 3U);
  std::filesystem::remove_all(directory);
}

// Seen to fail when the gap is 0: each extent is a request then.
TEST(WorthwhileGap, IsForVeryManyExtentsNearEachOther) {
  ExtentTotals many;
  many.extents = 65536;
  EXPECT_EQ(worthwhile_gap(many, 65536ULL * 32768), 16384U);
  EXPECT_EQ(worthwhile_gap(many, 65536ULL * 32768 + 65536), 0U) << "too far from each other";
  many.extents = 65535;
  EXPECT_EQ(worthwhile_gap(many, 65536ULL * 4096), 0U) << "too few";
  EXPECT_EQ(worthwhile_gap({}, 1ULL << 40), 0U);
}

}  // namespace
}  // namespace hamal
