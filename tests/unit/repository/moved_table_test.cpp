// Moved records that do not fit into memory are found as those that do.
#include "hamal/repository/moved_table.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "util/temporary_directory.hpp"

namespace hamal::repository {
namespace {

/// Ascending by `from`, so that the record of the number i has all its figures from it.
std::vector<MovedRecord> part_of(std::uint32_t part, std::uint32_t count) {
  std::vector<MovedRecord> records;
  for (std::uint32_t i = 0; i < count; ++i) {
    records.push_back({16 + i * 100, part, part + i});
  }
  return records;
}

// Break it: begin a part in the file one record too late; drop what was read back from the wrong
// end of the list while it is used.
TEST(MovedTableTest, FindsWhatIsInTheFileAndWhatIsNot) {
  test::TemporaryDirectory directory;
  constexpr std::uint32_t k_parts = 60;
  MovedTable table(directory / "made" / "when needed", 100);
  std::vector<MovedTable::Part> parts;
  std::vector<std::uint32_t> counts;
  for (std::uint32_t i = 0; i < k_parts; ++i) {
    counts.push_back(i == 20 ? 250 : 1 + i % 37);  // one is larger than the memory
    parts.push_back(table.add(part_of(i, counts.back())));
  }
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> threads;
    for (unsigned seed = 0; seed < 4; ++seed) {
      threads.emplace_back([&, seed] {
        std::mt19937 random(seed);
        for (int i = 0; i < 3000; ++i) {
          const auto part = static_cast<std::uint32_t>(random() % k_parts);
          const auto record = static_cast<std::uint32_t>(random() % counts[part]);
          const MovedRecord expected{16 + record * 100, part, part + record};
          wrong += table.find(parts[part], 16 + record * 100) == expected ? 0 : 1;
          wrong += table.find(parts[part], 17 + record * 100) ? 1 : 0;
          wrong += table.find(parts[part], 16 + counts[part] * 100) ? 1 : 0;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
  // The scratch file has no name.
  EXPECT_TRUE(std::filesystem::is_empty(directory / "made" / "when needed"));
}

TEST(MovedTableTest, WhatFitsNeedsNoFile) {
  test::TemporaryDirectory directory;
  MovedTable table(directory / "none", 100);
  const auto part = table.add(part_of(7, 100));
  EXPECT_EQ(table.find(part, 16)->to_pack, 7U);
  EXPECT_FALSE(std::filesystem::exists(directory / "none"));
}

}  // namespace
}  // namespace hamal::repository
