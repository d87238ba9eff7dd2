#include "hamal/repository/looks_random.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "repository/bytes.hpp"

namespace hamal::repository {
namespace {

TEST(LooksRandom, IsTrueOfRandomBytes) {
  for (unsigned i = 0; i < 200; ++i) {
    EXPECT_TRUE(looks_random(random_bytes(65536, i))) << i;
  }
  EXPECT_TRUE(looks_random(random_bytes(32768)));
}

TEST(LooksRandom, IsFalseWhereTooFewBytesTell) {
  EXPECT_FALSE(looks_random({}));
  EXPECT_FALSE(looks_random(random_bytes(32767)));
}

TEST(LooksRandom, IsFalseOfWhatHasStructure) {
  EXPECT_FALSE(looks_random(Bytes(65536)));
  EXPECT_FALSE(looks_random(compressible_bytes(65536)));
  // Digits and letters that stand for random bits, as base64 does.
  Bytes letters = random_bytes(65536);
  for (std::byte& byte : letters) {
    byte = static_cast<std::byte>('0' + std::to_integer<int>(byte & std::byte{63}));
  }
  EXPECT_FALSE(looks_random(letters));
}

TEST(LooksRandom, IsFalseWhereOneBlockCanBeCompressed) {
  for (std::size_t block = 0; block < 16; ++block) {
    Bytes bytes = random_bytes(65536);
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(block * 4096), 4096, std::byte{0});
    EXPECT_FALSE(looks_random(bytes)) << block;
  }
}

TEST(LooksRandom, IsFalseWhereABlockIsThereTwice) {
  Bytes bytes = random_bytes(65536);
  std::copy_n(bytes.begin() + 4096, 4096, bytes.begin() + 12 * 4096);
  EXPECT_FALSE(looks_random(bytes));
}

}  // namespace
}  // namespace hamal::repository
