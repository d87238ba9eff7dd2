// The parts of a stage: its journal, and its entries in order.
#include "hamal/repository/disk_stage.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "hamal/repository/journal.hpp"
#include "hamal/repository/sorted_entries.hpp"
#include "util/temporary_directory.hpp"

namespace hamal::repository {
namespace {

StagedEntry entry(std::uint64_t offset, std::uint64_t length, std::uint32_t pack = 7) {
  StagedEntry staged;
  staged.entry.extent = {offset, length, ExtentKind::data};
  staged.entry.place = {{{}, pack}, offset + 64, static_cast<std::uint32_t>(length)};
  staged.entry.plain = static_cast<std::uint32_t>(length);
  staged.entry.id[0] = static_cast<std::byte>(offset / 4096);
  return staged;
}

std::vector<StagedEntry> all(Journal& journal) {
  std::vector<StagedEntry> entries;
  journal.each([&](const StagedEntry& one) { entries.push_back(one); });
  return entries;
}

TEST(Journal, KeepsWhatWasAddedForTheNextProcess) {
  const test::TemporaryDirectory directory;
  const auto path = directory / "0.journal";
  const StageProgress progress{{{0, 8192, ExtentKind::data}, {65536, 4096, ExtentKind::data}}, 99};
  {
    Journal journal(path, "disk one");
    for (std::uint64_t i = 0; i < 3000; ++i) {
      journal.add(entry(i * 4096, 4096));
    }
    journal.note(progress);
    journal.add(entry(1U << 30, 4096));
  }
  Journal journal(path, "disk one");
  const auto entries = all(journal);
  ASSERT_EQ(entries.size(), 3001U);
  EXPECT_EQ(entries[2999].entry, entry(std::uint64_t{2999} * 4096, 4096).entry);
  EXPECT_EQ(entries.back().entry.extent.offset, 1U << 30);
  EXPECT_EQ(journal.progress().finished, progress.finished);
  EXPECT_EQ(journal.progress().zero_bytes, 99U);
}

TEST(Journal, OfAnotherDiskIsBegunAnew) {
  const test::TemporaryDirectory directory;
  { Journal(directory / "0.journal", "disk one").add(entry(0, 4096)); }
  Journal journal(directory / "0.journal", "disk two");
  EXPECT_TRUE(all(journal).empty());
}

TEST(Journal, WhatWasTornOffIsForgottenAndTheRestIsNot) {
  const test::TemporaryDirectory directory;
  const auto path = directory / "0.journal";
  {
    Journal journal(path, "disk one");
    journal.add(entry(0, 4096));
    journal.flush();
    journal.add(entry(4096, 4096));
  }
  const auto whole = std::filesystem::file_size(path);
  for (std::uint64_t cut = 1; cut <= 96 + 16; ++cut) {
    std::filesystem::resize_file(path, whole - cut);
    Journal journal(path, "disk one");
    EXPECT_EQ(all(journal).size(), 1U) << cut;
  }
  // Goes on behind what is whole.
  {
    Journal journal(path, "disk one");
    journal.add(entry(8192, 4096));
  }
  Journal journal(path, "disk one");
  const auto entries = all(journal);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[1].entry.extent.offset, 8192U);
}

TEST(Journal, AFlippedBitEndsIt) {
  const test::TemporaryDirectory directory;
  const auto path = directory / "0.journal";
  {
    Journal journal(path, "disk one");
    journal.add(entry(0, 4096));
    journal.flush();
    journal.add(entry(4096, 4096));
  }
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(path)) - 40);
  file.put('\x55');
  file.close();
  Journal journal(path, "disk one");
  EXPECT_EQ(all(journal).size(), 1U);
}

TEST(SortedEntries, ComeInOrderFromManyRunsAndOverlapsAreCut) {
  const test::TemporaryDirectory directory;
  std::mt19937 random(5);
  SortedEntries sorted(directory.path(), 16);
  std::map<std::uint64_t, bool> covered;
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t first = random() % 4000;
    const std::uint64_t blocks = 1 + random() % 16;
    sorted.add(entry(first * 4096, blocks * 4096));
    for (std::uint64_t block = first; block < first + blocks; ++block) {
      covered[block] = true;
    }
  }
  StageTotals totals;
  const auto source = sorted.sorted(totals);
  std::uint64_t end = 0;
  std::uint64_t bytes = 0;
  for (LayerEntry one; source->next(one);) {
    EXPECT_GE(one.extent.offset, end);
    EXPECT_LE(one.skip + one.extent.length, one.plain);
    end = one.extent.end();
    bytes += one.extent.length;
  }
  EXPECT_EQ(bytes, covered.size() * 4096);
  EXPECT_EQ(totals.data_bytes, bytes);
}

}  // namespace
}  // namespace hamal::repository
