// What every Platform promises.
#include "platform_suite.hpp"

#include <gmock/gmock.h>

#include <algorithm>

#include "hamal/util/error.hpp"
#include "io_helpers.hpp"

namespace hamal::testing {
namespace {

constexpr const char* k_mark = "0123abcd";
constexpr const char* k_other_mark = "ffff0000";

template <typename Call>
ErrorKind kind_of_error(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::failed;
}

std::vector<std::byte> pattern(std::size_t length, unsigned value) {
  return std::vector<std::byte>(length, static_cast<std::byte>(value));
}

bool is_listed_as_ours(Platform& platform, const std::string& vm, const std::string& id) {
  const auto listed = platform.list_snapshots(vm);
  return std::any_of(listed.begin(), listed.end(),
                     [&](const SnapshotInfo& info) { return info.id == id && info.ours; });
}

}  // namespace

void PlatformConformance::SetUp() {
  if (const std::string why = GetParam().missing(); !why.empty()) {
    GTEST_SKIP() << why;
  }
  lab = GetParam().make();
  platform = lab->open(k_mark);
}

void PlatformConformance::apply(Platform& platform, const SnapshotDocument& document,
                                Changes changes, std::vector<std::byte>& copy) {
  const SnapshotDisk& disk = document.disks.at(0);
  ASSERT_EQ(disk.size, copy.size());
  if (changes.mode == SyncMode::full) {
    std::fill(copy.begin(), copy.end(), std::byte{0});
  }
  const auto reader = platform.open_reader(disk);
  std::uint64_t at = 0;
  for (const Extent& extent : all_extents(*changes.extents)) {
    ASSERT_GE(extent.offset, at) << "unsorted or overlapping";
    ASSERT_GT(extent.length, 0U);
    ASSERT_LE(extent.end(), disk.size);
    at = extent.end();
    const auto range = std::span(copy).subspan(extent.offset, extent.length);
    if (extent.kind == ExtentKind::zero) {
      std::fill(range.begin(), range.end(), std::byte{0});
    } else {
      reader->read(extent.offset, range);
    }
  }
}

TEST_P(PlatformConformance, ListsTheVmWithItsDisk) {
  const auto vms = platform->vms();
  if (!lab->is_listed()) {
    EXPECT_TRUE(vms.empty());
    return;
  }
  const auto found = std::find_if(vms.begin(), vms.end(), [&](const Vm& vm) {
    return vm.id == lab->vm() || vm.name == lab->vm();
  });
  ASSERT_NE(found, vms.end());
  ASSERT_EQ(found->disks.size(), 1U);
  EXPECT_EQ(found->disks[0].size, lab->content().size());
  EXPECT_TRUE(found->disks[0].protectable) << found->disks[0].reason;
  EXPECT_FALSE(found->disks[0].reason.empty());
}

TEST_P(PlatformConformance, ASnapshotReadsAsTheDiskWas) {
  const auto before = lab->content();
  const SnapshotDocument document = platform->create_snapshot(lab->vm(), lab->options());
  ASSERT_EQ(document.disks.size(), 1U);
  EXPECT_EQ(document.disks[0].tracked, lab->tracks());
  EXPECT_EQ(document.disks[0].tracked, !document.disks[0].change_id.empty());
  EXPECT_EQ(document.disks[0].tracked, document.disks[0].untracked_reason.empty());
  EXPECT_FALSE(document.created.empty());
  EXPECT_FALSE(document.platform_type.empty());
  if (lab->freezes()) {
    lab->write(65536, pattern(8192, 0x77));
  }
  Changes changes = platform->changed_extents(document, document.disks[0], {});
  EXPECT_EQ(changes.mode, SyncMode::full);
  EXPECT_FALSE(changes.reason.empty());
  std::vector<std::byte> copy(before.size());
  apply(*platform, document, std::move(changes), copy);
  EXPECT_TRUE(copy == before);
  platform->verify_snapshot(document.vm_id, document.snapshot_id, document.disks[0]);
  platform->finish_snapshot(document, Outcome::committed, {});
  platform->finish_snapshot(document, Outcome::committed, {});
}

TEST_P(PlatformConformance, TheDocumentServesAnotherProcess) {
  const auto before = lab->content();
  const SnapshotDocument document = platform->create_snapshot(lab->vm(), lab->options());
  platform.reset();
  const SnapshotDocument parsed = parse_snapshot_document(to_json(document), "test");
  EXPECT_EQ(parsed, document);
  const auto other = lab->open(k_mark);
  std::vector<std::byte> copy(before.size());
  apply(*other, parsed, other->changed_extents(parsed, parsed.disks[0], {}), copy);
  EXPECT_TRUE(copy == before);
  other->verify_snapshot(parsed.vm_id, parsed.snapshot_id, parsed.disks[0]);
  other->finish_snapshot(parsed, Outcome::failed, {});
}

TEST_P(PlatformConformance, ReadersOpenFromAHeaderAlone) {
  const auto before = lab->content();
  const SnapshotDocument document = platform->create_snapshot(lab->vm(), lab->options());
  SnapshotDisk bare;
  bare.id = document.disks[0].id;
  bare.size = document.disks[0].size;
  bare.source = document.disks[0].source;
  const auto reader = platform->open_reader(bare);
  EXPECT_TRUE(read_all(*reader) == before);
  platform->finish_snapshot(document, Outcome::failed, {});
}

TEST_P(PlatformConformance, UnknownVmsAndDisksAreRefused) {
  EXPECT_NE(kind_of_error([&] { platform->create_snapshot("nothere", lab->options()); }),
            ErrorKind::interrupted);
  SnapshotOptions options = lab->options();
  options.disks = {"nothere"};
  EXPECT_EQ(kind_of_error([&] { platform->create_snapshot(lab->vm(), options); }),
            ErrorKind::usage);
}

TEST_P(PlatformConformance, AnUnknownBaseIsAFullWithTheReason) {
  const auto before = lab->content();
  const SnapshotDocument document = platform->create_snapshot(lab->vm(), lab->options());
  Changes changes = platform->changed_extents(document, document.disks[0], "bitmap:unheard-of");
  EXPECT_EQ(changes.mode, SyncMode::full);
  EXPECT_FALSE(changes.reason.empty());
  std::vector<std::byte> copy(before.size());
  apply(*platform, document, std::move(changes), copy);
  EXPECT_TRUE(copy == before);
  platform->finish_snapshot(document, Outcome::failed, {});
}

TEST_P(PlatformConformance, AnIncrementalHasAllChangesAndAFailedRunLosesNone) {
  if (!lab->tracks()) {
    GTEST_SKIP() << "this kind tracks no changes";
  }
  const SnapshotDocument first = platform->create_snapshot(lab->vm(), lab->options());
  const std::string base = first.disks[0].change_id;
  std::vector<std::byte> copy(first.disks[0].size);
  apply(*platform, first, platform->changed_extents(first, first.disks[0], {}), copy);
  platform->finish_snapshot(first, Outcome::committed, {});

  lab->write(131072, pattern(65536, 0x11));
  const SnapshotDocument failed = platform->create_snapshot(lab->vm(), lab->options());
  platform->finish_snapshot(failed, Outcome::failed, {base});

  lab->write(524288, pattern(65536, 0x22));
  lab->zero(0, 65536);
  const auto before = lab->content();
  const SnapshotDocument second = platform->create_snapshot(lab->vm(), lab->options());
  Changes changes = platform->changed_extents(second, second.disks[0], base);
  const SyncMode expected =
      lab->a_failed_run_costs_a_full() ? SyncMode::full : SyncMode::incremental;
  ASSERT_EQ(changes.mode, expected) << changes.reason;
  apply(*platform, second, std::move(changes), copy);
  EXPECT_TRUE(copy == before);

  const auto bytes_since = [&](const SnapshotDocument& document, const std::string& since) {
    Changes found = platform->changed_extents(document, document.disks[0], since);
    EXPECT_EQ(found.mode, SyncMode::incremental) << found.reason;
    std::uint64_t bytes = 0;
    for (const Extent& extent : all_extents(*found.extents)) {
      bytes += extent.length;
    }
    return bytes;
  };
  if (!lab->a_failed_run_costs_a_full()) {
    EXPECT_LE(bytes_since(second, base), 4U * 65536);
  }
  platform->verify_snapshot(second.vm_id, second.snapshot_id, second.disks[0]);
  platform->finish_snapshot(second, Outcome::committed, {});

  lab->write(262144, pattern(65536, 0x33));
  const SnapshotDocument third = platform->create_snapshot(lab->vm(), lab->options());
  if (lab->a_commit_begins_anew()) {
    EXPECT_LE(bytes_since(third, second.disks[0].change_id), 2U * 65536);
  }
  EXPECT_GT(bytes_since(third, second.disks[0].change_id), 0U);
  platform->finish_snapshot(third, Outcome::failed, {});
}

TEST_P(PlatformConformance, WhatItCreatesIsListedMarkedAndDeleted) {
  const SnapshotDocument document = platform->create_snapshot(lab->vm(), lab->options());
  if (lab->freezes()) {
    EXPECT_TRUE(is_listed_as_ours(*platform, document.vm_id, document.snapshot_id));
    // Another installation sees it, and must not touch it.
    const auto other = lab->open(k_other_mark);
    EXPECT_FALSE(is_listed_as_ours(*other, document.vm_id, document.snapshot_id));
    try {
      other->delete_snapshot(document.vm_id, document.snapshot_id);
    } catch (const Error&) {  // NOLINT: a refusal is as good as doing nothing
    }
  }
  platform->verify_snapshot(document.vm_id, document.snapshot_id, document.disks[0]);
  platform->delete_snapshot(document.vm_id, document.snapshot_id);
  platform->delete_snapshot(document.vm_id, document.snapshot_id);
  EXPECT_FALSE(is_listed_as_ours(*platform, document.vm_id, document.snapshot_id));
}

TEST_P(PlatformConformance, ALostSnapshotIsNoticed) {
  const SnapshotDocument document = platform->create_snapshot(lab->vm(), lab->options());
  const auto reader = platform->open_reader(document.disks[0]);
  lab->lose_source(document);
  try {
    platform->verify_snapshot(document.vm_id, document.snapshot_id, document.disks[0]);
    FAIL() << "not noticed";
  } catch (const Error& error) {
    EXPECT_TRUE(error.transient()) << error.what();
  }
}

}  // namespace hamal::testing
