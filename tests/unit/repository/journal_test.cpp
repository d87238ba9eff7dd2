// The journal of a staged disk: what is in the kernel's hands at every moment is what a process
// that is killed leaves to the next.
#include "hamal/repository/journal.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "util/temporary_directory.hpp"

namespace hamal::repository {
namespace {

StagedEntry entry(std::uint64_t offset, std::uint32_t pack, Origin origin = Origin::stored) {
  StagedEntry staged;
  staged.entry.extent = {offset, 4096, ExtentKind::data};
  staged.entry.place.pack.number = pack;
  staged.entry.plain = 4096;
  staged.origin = origin;
  return staged;
}

// What another process finds now, while this one still has the journal open.
std::vector<std::uint64_t> left_behind(const std::filesystem::path& path) {
  std::vector<std::uint64_t> offsets;
  read_journal(path,
               [&](const StagedEntry& staged) { offsets.push_back(staged.entry.extent.offset); });
  return offsets;
}

class JournalTest : public ::testing::Test {
 protected:
  test::TemporaryDirectory m_directory;
  std::filesystem::path m_path = m_directory.path() / "0.journal";
};

// Break it: leave the flush in add() to the number of entries. A run that was killed would put all
// packs again whose entries were among the last thousand, which may be all of a small disk.
TEST_F(JournalTest, WhatAClosedPackHoldsSurvivesTheProcess) {
  Journal journal(m_path, "disk");
  journal.add(entry(0, 1));
  journal.add(entry(4096, 1));
  journal.add(entry(8192, 2));
  EXPECT_EQ(left_behind(m_path), (std::vector<std::uint64_t>{0, 4096}));
}

// Break it: compare the pack of every entry. Each shared record would cost a write of its own.
TEST_F(JournalTest, SharedRecordsAndZerosCloseNoPack) {
  Journal journal(m_path, "disk");
  journal.add(entry(0, 1));
  journal.add(entry(4096, 7, Origin::shared));
  StagedEntry zero = entry(8192, 0);
  zero.entry.extent.kind = ExtentKind::zero;
  journal.add(zero);
  journal.add(entry(12288, 1));
  EXPECT_TRUE(left_behind(m_path).empty());
  journal.flush();
  EXPECT_EQ(left_behind(m_path).size(), 4U);
}

TEST_F(JournalTest, AnotherHeadingBeginsAnew) {
  {
    Journal journal(m_path, "disk");
    journal.add(entry(0, 1));
  }
  EXPECT_EQ(left_behind(m_path).size(), 1U);
  { const Journal same(m_path, "disk"); }
  EXPECT_EQ(left_behind(m_path).size(), 1U);
  const Journal other(m_path, "another disk");
  EXPECT_TRUE(left_behind(m_path).empty());
}

}  // namespace
}  // namespace hamal::repository
