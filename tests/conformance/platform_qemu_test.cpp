// The qemu platform against real programs: what is frozen stays, what changed is told, nothing is
// left.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "hamal/block/block_reader.hpp"
#include "hamal/block/nbd_writer.hpp"
#include "hamal/platform/qemu/qemu_platform.hpp"
#include "qsd.hpp"

namespace hamal::test {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr std::uint64_t k_block = 4096;
constexpr std::uint64_t k_size = 16U << 20;
constexpr const char* k_mark = "0123abcd";
const std::string k_ours = std::string("hamal-") + k_mark;

using Bytes = std::vector<std::byte>;
using Json = qemu::Json;

Bytes read_everything(BlockReader& reader) {
  Bytes bytes(reader.size());
  reader.read(0, bytes);
  return bytes;
}

/// A replica, brought up to date as a target would be.
void apply(Platform& platform, const SnapshotDisk& disk, ExtentSource& extents, Bytes& replica) {
  const auto reader = platform.open_reader(disk);
  std::vector<Extent> window;
  while (extents.next(window)) {
    for (const Extent& extent : window) {
      ASSERT_LE(extent.end(), replica.size());
      const auto range = std::span(replica).subspan(extent.offset, extent.length);
      if (extent.kind == ExtentKind::zero) {
        std::fill(range.begin(), range.end(), std::byte{0});
      } else {
        reader->read(extent.offset, range);
      }
    }
  }
}

std::set<std::uint64_t> blocks_of(const std::vector<Extent>& extents) {
  std::set<std::uint64_t> blocks;
  for (const Extent& extent : extents) {
    for (std::uint64_t at = extent.offset / k_block * k_block; at < extent.end(); at += k_block) {
      blocks.insert(at / k_block);
    }
  }
  return blocks;
}

std::vector<Extent> all_of(ExtentSource& source) {
  std::vector<Extent> all;
  std::vector<Extent> window;
  while (source.next(window)) {
    all.insert(all.end(), window.begin(), window.end());
  }
  return all;
}

/// What the guest has written, and where since the last look.
struct GuestDisk {
  Bytes content = Bytes(k_size);
  std::set<std::uint64_t> touched;
  std::vector<std::string> commands;

  void write(std::uint64_t offset, std::uint64_t length, unsigned pattern) {
    commands.push_back(fmt::format("write -P {} {} {}", pattern, offset, length));
    change(offset, length, std::byte(pattern));
  }
  void zero(std::uint64_t offset, std::uint64_t length) {
    commands.push_back(fmt::format("write -z {} {}", offset, length));
    change(offset, length, std::byte{0});
  }
  void discard(std::uint64_t offset, std::uint64_t length) {
    commands.push_back(fmt::format("discard {} {}", offset, length));
    change(offset, length, std::byte{0});
  }
  void change(std::uint64_t offset, std::uint64_t length, std::byte value) {
    std::fill_n(content.begin() + static_cast<std::ptrdiff_t>(offset), length, value);
    for (const auto block : blocks_of({{offset, length, ExtentKind::data}})) {
      touched.insert(block);
    }
  }
  void run(const Qsd& qsd, std::size_t disk) {
    qsd.io(disk, commands);
    commands.clear();
  }
  void random_changes(std::mt19937& random, int count) {
    for (int i = 0; i < count; ++i) {
      const std::uint64_t block = random() % (k_size / k_block - 16);
      switch (random() % 8) {
        case 0:
          zero(block * k_block, k_block * (1 + random() % 16));
          break;
        case 1:
          // Whole clusters: qcow2 keeps the rest of a partly discarded one.
          discard(block / 16 * 16 * k_block, 16 * k_block);
          break;
        case 2:
          write(block * k_block + 512 * (random() % 7), 512,
                1 + static_cast<unsigned>(random() % 255));
          break;
        default:
          write(block * k_block, k_block, 1 + static_cast<unsigned>(random() % 255));
      }
    }
  }
};

class PlatformQemu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!have_program("qemu-storage-daemon")) {
      GTEST_SKIP() << "qemu-storage-daemon is not installed (package qemu-system-common)";
    }
  }

  Qsd& start(std::vector<std::string> disks, const std::string& size = "16M",
             TopFilter filter = TopFilter::present) {
    m_qsd = std::make_unique<Qsd>(m_directory.path(), std::move(disks), size, filter);
    m_config.defaults.hamal_lib_dir = m_directory.path() / "lib";
    m_section.values = {{"qmp", m_qsd->qmp_socket()},
                        {"nbd_socket", m_qsd->nbd_socket()},
                        {"scratch_dir", m_qsd->scratch()},
                        {"scratch_min_free", "0"}};
    return *m_qsd;
  }

  std::unique_ptr<Platform> platform(const std::string& mark = k_mark) {
    return make_qemu_platform("lab", m_section, {m_config, m_log, m_cancel, mark});
  }

  std::vector<std::string> left(const std::string& part = k_ours) {
    return names_in_qemu(m_section.get("qmp"), part);
  }
  bool scratch_is_empty() const { return std::filesystem::is_empty(m_section.get("scratch_dir")); }
  Json qmp(const std::string& command, const Json& arguments) {
    return qemu::QmpClient({m_section.get("qmp")}).execute(command, arguments);
  }
  ScratchDirectory m_directory;
  Config m_config;
  Logger m_log;
  CancelToken m_cancel;
  NamedSection m_section{"lab", {"hamal.conf", 1}, {}, {}};
  std::unique_ptr<Qsd> m_qsd;
};

TEST_F(PlatformQemu, ListsTheDisksOfAStorageDaemon) {
  start({"a.qcow2", "b.raw"});
  const auto vms = platform()->vms();
  ASSERT_THAT(vms, SizeIs(1));
  EXPECT_EQ(vms[0].id, "lab");
  ASSERT_THAT(vms[0].disks, SizeIs(2));
  EXPECT_EQ(vms[0].disks[0].id, "top0");
  EXPECT_EQ(vms[0].disks[0].size, k_size);
  EXPECT_TRUE(vms[0].disks[0].protectable);
  EXPECT_TRUE(vms[0].disks[1].protectable);
  EXPECT_THAT(vms[0].disks[1].reason, HasSubstr("only while QEMU runs"));
}

TEST_F(PlatformQemu, ShowsTheFrozenViewWhileWritesGoOn) {
  Qsd& qsd = start({"a.qcow2"});
  GuestDisk guest;
  guest.write(0, 1 << 20, 0x11);
  guest.write(5 << 20, 4096, 0x22);
  guest.run(qsd, 0);
  const Bytes frozen = guest.content;
  const auto p = platform();
  const SnapshotDocument document = p->create_snapshot("lab", {});
  ASSERT_THAT(document.disks, SizeIs(1));
  EXPECT_TRUE(document.disks[0].tracked);
  EXPECT_THAT(document.disks[0].change_id, HasSubstr(document.snapshot_id));

  guest.write(0, 64 << 10, 0x99);
  guest.discard(512 << 10, 512 << 10);
  guest.write(9 << 20, 1 << 20, 0x33);
  guest.run(qsd, 0);
  EXPECT_TRUE(read_everything(*p->open_reader(document.disks[0])) == frozen);
  p->verify_snapshot("lab", document.snapshot_id, document.disks[0]);

  Changes changes = p->changed_extents(document, document.disks[0], "");
  EXPECT_EQ(changes.mode, SyncMode::full);
  Bytes replica(k_size);
  apply(*p, document.disks[0], *changes.extents, replica);
  EXPECT_TRUE(replica == frozen);

  p->finish_snapshot(document, Outcome::committed, {});
  EXPECT_THAT(left(), Each(document.disks[0].change_id)) << "only the bitmap may stay";
  EXPECT_TRUE(scratch_is_empty());
  // The disk is as the guest left it, with the filter gone.
  EXPECT_TRUE(read_everything(*open_block_reader(parse_endpoint(qsd.live_uri(0)))) ==
              guest.content);
}

TEST_F(PlatformQemu, FreezesAllDisksAtOneMoment) {
  Qsd& qsd = start({"a.qcow2", "b.qcow2", "c.raw"});
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> count{0};
  // Every value reaches the disks in this order: at any one moment a >= b >= c >= a - 1.
  std::thread guest([&] {
    NbdWriter writers[3] = {NbdWriter(qsd.live_uri(0)), NbdWriter(qsd.live_uri(1)),
                            NbdWriter(qsd.live_uri(2))};
    std::unique_ptr<WriteQueue> queues[3] = {writers[0].open_queue(), writers[1].open_queue(),
                                             writers[2].open_queue()};
    struct Done final : IoCompletion {
      bool pending = true;
      void io_done(std::exception_ptr error) noexcept override {
        EXPECT_EQ(error, nullptr);
        pending = false;
      }
    };
    Bytes block(512);
    while (!stop) {
      const std::uint64_t value = ++count;
      std::memcpy(block.data(), &value, sizeof value);
      for (auto& queue : queues) {
        Done done;
        queue->write(0, block, done);
        drive(*queue, done.pending);
      }
    }
  });
  const auto p = platform();
  for (int round = 0; round < 5; ++round) {
    const std::uint64_t before = count;
    while (count < before + 20) {
      std::this_thread::sleep_for(1ms);
    }
    const SnapshotDocument document = p->create_snapshot("lab", {});
    std::uint64_t value[3] = {};
    ASSERT_THAT(document.disks, SizeIs(3));
    for (std::size_t disk = 0; disk < 3; ++disk) {
      Bytes block(512);
      p->open_reader(document.disks[disk])->read(0, block);
      std::memcpy(&value[disk], block.data(), sizeof value[disk]);
    }
    EXPECT_GE(value[0], value[1]);
    EXPECT_GE(value[1], value[2]);
    EXPECT_GE(value[2] + 1, value[0]);
    EXPECT_GE(value[2], before);
    p->finish_snapshot(document, Outcome::committed, {});
  }
  stop = true;
  guest.join();
}

TEST_F(PlatformQemu, TellsExactlyWhatChanged) {
  for (const char* image : {"a.qcow2", "b.raw"}) {
    SCOPED_TRACE(image);
    Qsd& qsd = start({image});
    std::mt19937 random(20220607);
    GuestDisk guest;
    guest.random_changes(random, 100);
    guest.run(qsd, 0);
    Bytes replica(k_size);
    std::string base;
    for (int round = 0; round < 6; ++round) {
      const auto p = platform();
      const SnapshotDocument document = p->create_snapshot("lab", {});
      const SnapshotDisk& disk = document.disks.at(0);
      const Bytes frozen = guest.content;
      const auto touched = std::exchange(guest.touched, {});
      guest.random_changes(random, 30);
      guest.run(qsd, 0);
      Changes changes = p->changed_extents(document, disk, base);
      if (round > 0) {
        EXPECT_EQ(changes.mode, SyncMode::incremental) << changes.reason;
        const auto extents = all_of(*changes.extents);
        EXPECT_EQ(blocks_of(extents), touched);
        for (const Extent& extent : extents) {
          if (extent.kind == ExtentKind::zero) {
            EXPECT_TRUE(std::all_of(frozen.begin() + static_cast<std::ptrdiff_t>(extent.offset),
                                    frozen.begin() + static_cast<std::ptrdiff_t>(extent.end()),
                                    [](std::byte b) { return b == std::byte{0}; }));
          }
        }
        changes = p->changed_extents(document, disk, base);
      }
      apply(*p, disk, *changes.extents, replica);
      changes.extents.reset();
      EXPECT_TRUE(replica == frozen);
      EXPECT_THAT(left("-read-"), IsEmpty());
      p->verify_snapshot("lab", document.snapshot_id, disk);
      p->finish_snapshot(document, Outcome::committed, {});
      base = disk.change_id;
      EXPECT_THAT(left(), Each(base));
    }
    m_qsd.reset();
  }
}

TEST_F(PlatformQemu, DiscardedRangesAreZeroExtents) {
  Qsd& qsd = start({"a.qcow2"});
  GuestDisk guest;
  guest.write(0, 1 << 20, 0x11);
  guest.run(qsd, 0);
  const auto p = platform();
  const SnapshotDocument first = p->create_snapshot("lab", {});
  p->finish_snapshot(first, Outcome::committed, {});
  guest.discard(128 << 10, 256 << 10);
  guest.run(qsd, 0);
  const SnapshotDocument second = p->create_snapshot("lab", {});
  Changes changes = p->changed_extents(second, second.disks[0], first.disks[0].change_id);
  EXPECT_EQ(all_of(*changes.extents),
            (std::vector<Extent>{{128 << 10, 256 << 10, ExtentKind::zero}}));
}

TEST_F(PlatformQemu, AFailedRunLosesNoChange) {
  Qsd& qsd = start({"a.qcow2"});
  GuestDisk guest;
  guest.write(0, 1 << 20, 0x11);
  guest.run(qsd, 0);
  const auto p = platform();
  const SnapshotDocument first = p->create_snapshot("lab", {});
  Bytes replica = guest.content;
  guest.touched.clear();
  p->finish_snapshot(first, Outcome::committed, {});
  for (const std::uint64_t at : {2U << 20, 3U << 20, 4U << 20}) {
    guest.write(at, 4096, 0x44);
    guest.run(qsd, 0);
    const SnapshotDocument failed = p->create_snapshot("lab", {});
    p->finish_snapshot(failed, Outcome::failed, {});
  }
  guest.write(5 << 20, 4096, 0x55);
  guest.run(qsd, 0);
  const SnapshotDocument last = p->create_snapshot("lab", {});
  Changes changes = p->changed_extents(last, last.disks[0], first.disks[0].change_id);
  EXPECT_EQ(changes.mode, SyncMode::incremental) << changes.reason;
  apply(*p, last.disks[0], *changes.extents, replica);
  EXPECT_TRUE(replica == guest.content);
  p->finish_snapshot(last, Outcome::committed, {first.disks[0].change_id});
  EXPECT_THAT(left(), SizeIs(5)) << "another target still counts from the first";
  p->finish_snapshot(last, Outcome::committed, {});
  EXPECT_THAT(left(), Each(last.disks[0].change_id));
}

TEST_F(PlatformQemu, ALostBitmapMeansAFull) {
  start({"a.qcow2"});
  const auto p = platform();
  const SnapshotDocument first = p->create_snapshot("lab", {});
  p->finish_snapshot(first, Outcome::committed, {});
  const std::string base = first.disks[0].change_id;
  const SnapshotDocument second = p->create_snapshot("lab", {});
  p->finish_snapshot(second, Outcome::failed, {});
  qmp("block-dirty-bitmap-remove", {{"node", "disk0"}, {"name", second.disks[0].change_id}});
  const SnapshotDocument third = p->create_snapshot("lab", {});
  Changes changes = p->changed_extents(third, third.disks[0], base);
  EXPECT_EQ(changes.mode, SyncMode::full);
  EXPECT_THAT(changes.reason, HasSubstr("chain")) << changes.reason;
  qmp("block-dirty-bitmap-remove", {{"node", "disk0"}, {"name", base}});
  changes = p->changed_extents(third, third.disks[0], base);
  EXPECT_EQ(changes.mode, SyncMode::full);
  EXPECT_THAT(changes.reason, HasSubstr("the bitmap " + base + " is missing"));
}

TEST_F(PlatformQemu, BitmapsSurviveARestartAndNotAKill) {
  Qsd& qsd = start({"a.qcow2"});
  GuestDisk guest;
  guest.write(0, 1 << 20, 0x11);
  guest.run(qsd, 0);
  const auto p = platform();
  const SnapshotDocument first = p->create_snapshot("lab", {});
  Bytes replica = guest.content;
  p->finish_snapshot(first, Outcome::committed, {});
  guest.touched.clear();
  guest.write(2 << 20, 4096, 0x22);
  guest.run(qsd, 0);
  qsd.stop();
  qsd.start();
  guest.write(3 << 20, 4096, 0x33);
  guest.run(qsd, 0);
  const SnapshotDocument second = p->create_snapshot("lab", {});
  Changes changes = p->changed_extents(second, second.disks[0], first.disks[0].change_id);
  EXPECT_EQ(changes.mode, SyncMode::incremental) << changes.reason;
  EXPECT_EQ(blocks_of(all_of(*changes.extents)), guest.touched);
  changes = p->changed_extents(second, second.disks[0], first.disks[0].change_id);
  apply(*p, second.disks[0], *changes.extents, replica);
  EXPECT_TRUE(replica == guest.content);
  changes.extents.reset();
  p->finish_snapshot(second, Outcome::committed, {});

  qsd.stop();
  qsd.start();
  qsd.kill();
  qsd.start();
  const SnapshotDocument third = p->create_snapshot("lab", {});
  changes = p->changed_extents(third, third.disks[0], second.disks[0].change_id);
  EXPECT_EQ(changes.mode, SyncMode::full);
  EXPECT_THAT(changes.reason, AllOf(HasSubstr("inconsistent"), HasSubstr("killed")));
  p->finish_snapshot(third, Outcome::committed, {});
  EXPECT_THAT(left(), Each(third.disks[0].change_id));
}

TEST_F(PlatformQemu, AFullScratchBreaksTheSnapshotAndNotTheGuest) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root to mount a small tmpfs";
  }
  Qsd& qsd = start({"a.qcow2"});
  GuestDisk guest;
  guest.write(0, 8 << 20, 0x11);
  guest.run(qsd, 0);
  if (::mount("hamal-test", qsd.scratch().c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "cannot mount a tmpfs here: " << std::strerror(errno);
  }
  const auto p = platform();
  const SnapshotDocument document = p->create_snapshot("lab", {});
  p->verify_snapshot("lab", document.snapshot_id, document.disks[0]);
  guest.write(0, 8 << 20, 0x22);
  EXPECT_NO_THROW(guest.run(qsd, 0));
  try {
    p->verify_snapshot("lab", document.snapshot_id, document.disks[0]);
    ADD_FAILURE() << "a broken snapshot was verified";
  } catch (const Error& error) {
    EXPECT_TRUE(error.transient());
    EXPECT_THAT(error.what(), HasSubstr("broken"));
  }
  p->finish_snapshot(document, Outcome::failed, {});
  EXPECT_THAT(left(), Each(document.disks[0].change_id));
  EXPECT_TRUE(read_everything(*open_block_reader(parse_endpoint(qsd.live_uri(0)))) ==
              guest.content);
  ::umount2(qsd.scratch().c_str(), MNT_DETACH);
}

TEST_F(PlatformQemu, ASnapshotIsDeletedByItsIdAlone) {
  Qsd& qsd = start({"a.qcow2", "b.qcow2"});
  const SnapshotDocument document = platform()->create_snapshot("lab", {});
  // A reader that died with its temporary export and bitmap in place.
  qmp("block-dirty-bitmap-add",
      {{"node", "disk0"}, {"name", document.snapshot_id + "-read-0badcafe"}, {"disabled", true}});
  const auto p = platform();
  auto listed = p->list_snapshots("lab");
  ASSERT_THAT(listed, SizeIs(1));
  EXPECT_EQ(listed[0].id, document.snapshot_id);
  EXPECT_EQ(listed[0].state, "held");
  EXPECT_TRUE(listed[0].ours);
  p->delete_snapshot("lab", document.snapshot_id);
  p->delete_snapshot("lab", document.snapshot_id);
  EXPECT_THAT(left(),
              UnorderedElementsAre(document.disks[0].change_id, document.disks[1].change_id));
  EXPECT_TRUE(scratch_is_empty());
  listed = p->list_snapshots("lab");
  ASSERT_THAT(listed, SizeIs(1));
  EXPECT_EQ(listed[0].state, "base");
  qsd.io(0, {"write -P 7 0 64k", "read -P 7 0 64k"});
}

TEST_F(PlatformQemu, EndsASnapshotThatAKilledQemuTookAlong) {
  Qsd& qsd = start({"a.qcow2"});
  const auto p = platform();
  const SnapshotDocument document = p->create_snapshot("lab", {});
  qsd.kill();
  try {
    p->verify_snapshot("lab", document.snapshot_id, document.disks[0]);
    ADD_FAILURE() << "verified without a QEMU";
  } catch (const Error& error) {
    EXPECT_TRUE(error.transient()) << error.what();
  }
  qsd.start();
  EXPECT_THROW(p->verify_snapshot("lab", document.snapshot_id, document.disks[0]), Error);
  p->finish_snapshot(document, Outcome::failed, {});
  EXPECT_TRUE(scratch_is_empty());
}

TEST_F(PlatformQemu, TouchesNothingOfAnotherInstallation) {
  start({"a.qcow2"});
  const SnapshotDocument theirs = platform("ffff0000")->create_snapshot("lab", {});
  const auto p = platform();
  try {
    p->create_snapshot("lab", {});
    ADD_FAILURE() << "stacked a snapshot on another installation's";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::busy);
  }
  EXPECT_THROW(p->delete_snapshot("lab", theirs.snapshot_id), Error);
  EXPECT_THROW(p->delete_snapshot("lab", "top0"), Error);
  platform("ffff0000")->finish_snapshot(theirs, Outcome::committed, {});
  const SnapshotDocument ours = p->create_snapshot("lab", {});
  p->finish_snapshot(ours, Outcome::committed, {});
  EXPECT_THAT(left("hamal-ffff0000"), Contains(theirs.disks[0].change_id));
}

TEST_F(PlatformQemu, ASecondSnapshotIsRefusedWithItsCure) {
  start({"a.qcow2"});
  const auto p = platform();
  const SnapshotDocument document = p->create_snapshot("lab", {});
  try {
    p->create_snapshot("lab", {});
    ADD_FAILURE() << "two snapshots held";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::busy);
    EXPECT_THAT(error.what(), HasSubstr("hamal-snapshot delete lab:lab@" + document.snapshot_id));
  }
  p->verify_snapshot("lab", document.snapshot_id, document.disks[0]);
}

TEST_F(PlatformQemu, AFailedCreateLeavesNothingAndLosesNothing) {
  Qsd& qsd = start({"a.qcow2", "b.qcow2"});
  const auto p = platform();
  const SnapshotDocument first = p->create_snapshot("lab", {});
  p->finish_snapshot(first, Outcome::committed, {});
  const auto before = left();
  GuestDisk guest;
  guest.write(1 << 20, 8192, 0x11);
  guest.run(qsd, 0);
  // Everything works up to the last step: the export cannot be read at this address.
  m_section.values["nbd_socket"] = qsd.nbd_socket() + ".other";
  EXPECT_THROW(platform()->create_snapshot("lab", {}), Error);
  EXPECT_EQ(left(), before);
  EXPECT_TRUE(scratch_is_empty());
  m_section.values["nbd_socket"] = qsd.nbd_socket();
  m_section.values["scratch_dir"] = m_directory.path() / "missing";
  EXPECT_THROW(platform()->create_snapshot("lab", {}), Error);
  EXPECT_EQ(left(), before);
  guest.write(3 << 20, 4096, 0x22);
  guest.run(qsd, 0);
  const SnapshotDocument second = p->create_snapshot("lab", {});
  Changes changes = p->changed_extents(second, second.disks[0], first.disks[0].change_id);
  EXPECT_EQ(changes.mode, SyncMode::incremental) << changes.reason;
  EXPECT_EQ(blocks_of(all_of(*changes.extents)), guest.touched);
}

TEST_F(PlatformQemu, AnExportWithoutAFilterSaysHowToGetOne) {
  start({"a.qcow2"}, "16M", TopFilter::absent);
  const auto vms = platform()->vms();
  ASSERT_THAT(vms[0].disks, SizeIs(1));
  EXPECT_FALSE(vms[0].disks[0].protectable);
  EXPECT_THAT(vms[0].disks[0].reason, HasSubstr("driver=raw"));
  EXPECT_THROW(platform()->create_snapshot("lab", {}), Error);
}

TEST_F(PlatformQemu, RefusesWhatItCannotDo) {
  start({"a.qcow2"});
  const auto p = platform();
  EXPECT_THROW(p->create_snapshot("lab", {Quiesce::require, Offline::no, {}}), Error);
  EXPECT_THROW(p->create_snapshot("other", {}), Error);
  EXPECT_THROW(p->create_snapshot("lab", {Quiesce::no, Offline::no, {"top9"}}), Error);
  m_section.values["scratch_min_free"] = "1000000T";
  try {
    platform()->create_snapshot("lab", {});
    ADD_FAILURE() << "created below the floor";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("scratch_min_free"));
  }
  EXPECT_FALSE(p->create_snapshot("lab", {Quiesce::try_to, Offline::no, {}}).quiesced);
}

TEST_F(PlatformQemu, AHugeDiskGetsTheFinestBitmapItsImageTakes) {
  Qsd& qsd = start({"huge.qcow2"}, "40T");
  qsd.io(0, {"write -P 1 39T 4k"});
  const auto p = platform();
  const SnapshotDocument first = p->create_snapshot("lab", {});
  EXPECT_TRUE(first.disks[0].tracked) << first.disks[0].untracked_reason;
  qsd.io(0, {"write -P 2 39T 4k", "write -P 3 1T 4k"});
  p->verify_snapshot("lab", first.snapshot_id, first.disks[0]);
  Bytes block(4096);
  p->open_reader(first.disks[0])->read(39ULL << 40, block);
  EXPECT_EQ(block[0], std::byte{1});
  p->finish_snapshot(first, Outcome::committed, {});
  const SnapshotDocument second = p->create_snapshot("lab", {});
  Changes changes = p->changed_extents(second, second.disks[0], first.disks[0].change_id);
  EXPECT_EQ(changes.mode, SyncMode::incremental) << changes.reason;
  const auto extents = all_of(*changes.extents);
  ASSERT_THAT(extents, SizeIs(2));
  EXPECT_EQ(extents[0].offset, 1ULL << 40);
  EXPECT_LE(extents[0].length, 64U << 10);
}

TEST_F(PlatformQemu, WaitsItsTurnAtTheMonitorAndSaysWhoHoldsIt) {
  Qsd& qsd = start({"a.qcow2"});
  m_section.values["qmp_timeout"] = "300ms";
  const auto p = platform();
  {
    qemu::QmpClient other({qsd.qmp_socket()});
    try {
      p->vms();
      ADD_FAILURE() << "two clients on one monitor";
    } catch (const Error& error) {
      EXPECT_TRUE(error.transient());
      EXPECT_THAT(error.what(), HasSubstr("another client holds this monitor"));
    }
  }
  EXPECT_THAT(p->vms(), SizeIs(1));
}

class PlatformQemuMachine : public PlatformQemu {
 protected:
  void SetUp() override {
    if (!have_program("qemu-system-x86_64")) {
      GTEST_SKIP() << "qemu-system-x86_64 is not installed (package qemu-system-x86)";
    }
  }
  void boot(std::size_t disks) {
    m_machine = std::make_unique<QemuMachine>(m_directory.path(), disks, "16M");
    m_config.defaults.hamal_lib_dir = m_directory.path() / "lib";
    m_section.values = {{"qmp", m_machine->qmp_socket()},
                        {"nbd_socket", m_machine->nbd_socket()},
                        {"scratch_dir", m_machine->scratch()},
                        {"scratch_min_free", "0"}};
  }
  std::unique_ptr<QemuMachine> m_machine;
};

TEST_F(PlatformQemuMachine, SaysWhatTheMachineIsMadeOf) {
  boot(1);
  const auto p = platform();
  const SnapshotDocument document = p->create_snapshot("lab", {});
  const auto hardware = qemu::Json::parse(document.hardware);
  EXPECT_EQ(hardware.at("arch"), "x86_64");
  EXPECT_EQ(hardware.at("cpus"), 1);
  EXPECT_EQ(hardware.at("memory_bytes"), 64 << 20);
  EXPECT_THAT(hardware.at("machine").get<std::string>(), HasSubstr("-machine"));
  EXPECT_EQ(hardware.at("network"),
            qemu::Json::parse(R"([{"device":"virtio-net-pci","mac":"52:54:00:aa:bb:cc"}])"));
  p->delete_snapshot("lab", document.snapshot_id);
}

TEST_F(PlatformQemuMachine, ProtectsTheDevicesOfAGuest) {
  boot(2);
  const auto p = platform();
  const auto vms = p->vms();
  ASSERT_THAT(vms[0].disks, SizeIs(2));
  EXPECT_EQ(vms[0].disks[0].id, "vd0");
  EXPECT_TRUE(vms[0].disks[0].protectable) << vms[0].disks[0].reason;
  m_machine->io(0, "write -P 1 0 1M");
  m_machine->io(1, "write -P 2 1M 1M");
  const SnapshotDocument first = p->create_snapshot("lab", {});
  ASSERT_THAT(first.disks, SizeIs(2));
  m_machine->io(0, "write -P 9 0 1M");
  m_machine->io(1, "write -P 9 1M 1M");
  Bytes frozen(1 << 20);
  p->open_reader(first.disks[0])->read(0, frozen);
  EXPECT_THAT(frozen, Each(std::byte{1}));
  p->open_reader(first.disks[1])->read(1 << 20, frozen);
  EXPECT_THAT(frozen, Each(std::byte{2}));
  p->finish_snapshot(first, Outcome::committed, {});
  EXPECT_FALSE(std::filesystem::exists(m_machine->nbd_socket())) << "the server we started";
  for (const std::string& name : left()) {
    EXPECT_TRUE(name == first.disks[0].change_id || name == first.disks[1].change_id ||
                name.starts_with(k_ours + "-top-"))
        << name;
  }

  m_machine->io(1, "write -P 3 8M 4k");
  const SnapshotDocument second = p->create_snapshot("lab", {});
  Changes changes = p->changed_extents(second, second.disks[1], first.disks[1].change_id);
  EXPECT_EQ(changes.mode, SyncMode::incremental) << changes.reason;
  EXPECT_EQ(all_of(*changes.extents), (std::vector<Extent>{{1 << 20, 1 << 20, ExtentKind::data},
                                                           {8 << 20, 4096, ExtentKind::data}}));
  changes.extents.reset();
  p->delete_snapshot("lab", second.snapshot_id);
  EXPECT_THAT(left("-top-"), SizeIs(2)) << "one filter per device, made once";
}

}  // namespace
}  // namespace hamal::test
