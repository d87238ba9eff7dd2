// Zero runs are found exactly, and nothing that is not zero is called so.
#include "hamal/util/zero_scan.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace hamal {
namespace {

TEST(ZeroScan, OneSetBitAnywhereIsNotZero) {
  std::vector<std::byte> bytes(4096);
  EXPECT_TRUE(is_zero(bytes));
  EXPECT_TRUE(is_zero(std::span<const std::byte>{}));
  for (const std::size_t at : {0U, 1U, 15U, 16U, 17U, 4080U, 4095U}) {
    bytes[at] = std::byte{1};
    EXPECT_FALSE(is_zero(bytes)) << at;
    bytes[at] = std::byte{0};
  }
}

TEST(ZeroScan, RunsCoverTheBufferAndRespectTheMinimum) {
  std::mt19937 random(5);
  for (int round = 0; round < 500; ++round) {
    std::vector<std::byte> bytes(random() % 100'000 + 1);
    for (std::size_t block = 0; block * 4096 < bytes.size(); ++block) {
      if (random() % 2 == 0) {
        bytes[block * 4096 + random() % std::min<std::size_t>(4096, bytes.size() - block * 4096)] =
            std::byte{7};
      }
    }
    const std::size_t min_zero = 4096 * (1 + random() % 4);
    std::size_t at = 0;
    for_each_run(bytes, 4096, min_zero, [&](std::size_t begin, std::size_t length, bool zero) {
      ASSERT_EQ(begin, at);
      ASSERT_GT(length, 0U);
      if (zero) {
        ASSERT_TRUE(is_zero(std::span<const std::byte>(bytes).subspan(begin, length)));
        ASSERT_GE(length, min_zero);
      }
      at += length;
    });
    ASSERT_EQ(at, bytes.size());
  }
}

}  // namespace
}  // namespace hamal
