// Small parts of the qemu platform: split reads, its data in documents, its section, scratch names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hamal/platform/qemu/nbd_export.hpp"
#include "hamal/platform/qemu/platform_data.hpp"
#include "hamal/platform/qemu/scratch.hpp"
#include "hamal/platform/qemu/settings.hpp"
#include "hamal/platform/qemu/split_queue.hpp"

namespace hamal::qemu {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

/// Remembers requests and completes them when told, or at once.
class RecordingQueue final : public ReadQueue {
 public:
  enum class Mode { later, at_once };
  explicit RecordingQueue(Mode mode) : m_mode(mode) {}
  void add_poll_fds(std::vector<pollfd>&) const override {}
  void progress() override {
    auto pending = std::exchange(m_pending, {});
    for (IoCompletion* done : pending) {
      done->io_done(std::exchange(m_failure, nullptr));
    }
  }
  void read(std::uint64_t offset, std::span<std::byte> into, IoCompletion& done) override {
    m_reads.emplace_back(offset, into.size());
    std::fill(into.begin(), into.end(), std::byte(m_reads.size()));
    if (m_mode == Mode::at_once) {
      done.io_done(std::exchange(m_failure, nullptr));
    } else {
      m_pending.push_back(&done);
    }
  }
  Mode m_mode;
  std::exception_ptr m_failure;
  std::vector<IoCompletion*> m_pending;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> m_reads;
};

struct Done final : IoCompletion {
  int count = 0;
  std::exception_ptr error;
  void io_done(std::exception_ptr e) noexcept override {
    ++count;
    error = e;
  }
};

struct Split {
  explicit Split(RecordingQueue::Mode mode) {
    auto owned = std::make_unique<RecordingQueue>(mode);
    inner = owned.get();
    queue = split_queue(std::move(owned), 100);
  }
  RecordingQueue* inner;
  std::unique_ptr<ReadQueue> queue;
};

TEST(QemuSplitQueue, NoPartCrossesTheBoundary) {
  Split split(RecordingQueue::Mode::later);
  std::vector<std::byte> buffer(250);
  Done done;
  split.queue->read(90, buffer, done);
  EXPECT_THAT(split.inner->m_reads,
              ElementsAre(Pair(90, 10), Pair(100, 100), Pair(200, 100), Pair(300, 40)));
  EXPECT_EQ(done.count, 0);
  split.queue->progress();
  EXPECT_EQ(done.count, 1);
  EXPECT_EQ(done.error, nullptr);
  EXPECT_EQ(buffer[9], std::byte{1});
  EXPECT_EQ(buffer[10], std::byte{2});
  EXPECT_EQ(buffer[249], std::byte{4});
}

TEST(QemuSplitQueue, WhatFitsIsPassedOn) {
  Split split(RecordingQueue::Mode::later);
  std::vector<std::byte> buffer(100);
  Done done;
  split.queue->read(100, buffer, done);
  EXPECT_THAT(split.inner->m_pending, ElementsAre(&done));
}

TEST(QemuSplitQueue, CompletesOnceAlsoInsideTheCall) {
  Split split(RecordingQueue::Mode::at_once);
  std::vector<std::byte> buffer(300);
  Done done;
  split.queue->read(50, buffer, done);
  EXPECT_EQ(done.count, 1);
}

TEST(QemuSplitQueue, AFailedPartFailsItsRequestAlone) {
  for (const auto mode : {RecordingQueue::Mode::later, RecordingQueue::Mode::at_once}) {
    Split split(mode);
    std::vector<std::byte> buffer(300);
    Done failed;
    split.inner->m_failure = std::make_exception_ptr(std::runtime_error("broken"));
    split.queue->read(0, buffer, failed);
    split.queue->progress();
    EXPECT_EQ(failed.count, 1);
    EXPECT_NE(failed.error, nullptr);
    Done fine;
    split.queue->read(0, buffer, fine);
    split.queue->progress();
    EXPECT_EQ(fine.count, 1);
    EXPECT_EQ(fine.error, nullptr) << "a used request forgets its error";
  }
}

TEST(QemuPlatformData, IsReadBack) {
  const PlatformData data{{{"top0", {{"hamal-0123abcd-000001-aaaa-none", R"(was "killed")"}}}}};
  EXPECT_EQ(parse_platform_data(to_json(data), "doc"), data);
  EXPECT_EQ(parse_platform_data("{}", "doc"), PlatformData{});
}

TEST(QemuPlatformData, RefusesWhatIsNotOurs) {
  for (const char* json : {"", "[]", R"({"version":2,"lost":{}})", R"({"version":1})",
                           R"({"version":1,"lost":[3]})", R"({"version":1,"lost":{"a":{"b":1}}})",
                           R"({"version":"1","lost":{}})", R"({"lost":{}})"}) {
    EXPECT_THROW(parse_platform_data(json, "doc"), Error) << json;
  }
}

NamedSection section(const std::map<std::string, std::string>& more) {
  NamedSection result{"lab", {"hamal.conf", 7}, {{"qmp", "/q"}, {"nbd_socket", "/n"}}, {}};
  for (auto& [key, value] : more) {
    result.values[key] = value;
    result.origins[key] = {"hamal.conf", 9};
  }
  return result;
}

TEST(QemuSettings, Defaults) {
  SyncSection sync;
  sync.scratch_dir = "/common";
  const QemuSettings settings = read_settings("lab", section({}), sync);
  EXPECT_EQ(settings.vm_name, "lab");
  EXPECT_THAT(settings.vm_id, IsEmpty());
  EXPECT_EQ(settings.scratch.directory, "/common");
  EXPECT_EQ(settings.scratch.min_free, 1ULL << 30);
  EXPECT_EQ(read_settings("lab", section({{"scratch_dir", "/own"}}), sync).scratch.directory,
            "/own");
}

TEST(QemuSettings, WrongValuesNameTheirPlace) {
  for (const auto& [key, value] : std::map<std::string, std::string>{{"qmp", "relative"},
                                                                     {"nbd_socket", "relative"},
                                                                     {"scratch_dir", "relative"},
                                                                     {"scratch_min_free", "lots"},
                                                                     {"qmp_timeout", "0"}}) {
    try {
      read_settings("lab", section({{key, value}}), {});
      ADD_FAILURE() << key;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_THAT(error.what(), HasSubstr("hamal.conf:9"));
      EXPECT_THAT(error.what(), HasSubstr(key));
    }
  }
  EXPECT_THROW(read_settings("lab", {"lab", {"hamal.conf", 7}, {}, {}}, {}), Error);
}

TEST(QemuScratch, FileNamesAreSafe) {
  EXPECT_EQ(scratch_file_name("hamal-0123abcd-000001-beef", 3, "vd0", "lab"),
            "hamal-0123abcd-000001-beef-3-vd0@lab.scratch");
  const std::string odd = scratch_file_name("hamal-0123abcd-000001-beef", 0,
                                            "../../etc/\n" + std::string(500, 'x'), "lab");
  EXPECT_EQ(odd.find('/'), std::string::npos);
  EXPECT_EQ(odd.find('\n'), std::string::npos);
  EXPECT_LT(odd.size(), 255U);
}

TEST(QemuExport, UrisAreEncoded) {
  EXPECT_EQ(export_uri("/run/a b/nbd.sock", "hamal-x0"),
            "nbd+unix:///hamal-x0?socket=/run/a%20b/nbd.sock");
}

}  // namespace
}  // namespace hamal::qemu
