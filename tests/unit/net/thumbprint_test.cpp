// How the digest of a certificate is written.
#include "hamal/net/thumbprint.hpp"

#include <gtest/gtest.h>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

constexpr const char* k_shown = "9C:86:0A:43:0D:0B:4A:E6:DA:1D:0E:4A:76:72:C1:85:7D:C1:36:20";
constexpr const char* k_digits = "9c860a430d0b4ae6da1d0e4a7672c1857dc13620";

TEST(Thumbprint, IsReadWithAndWithoutColons) {
  EXPECT_EQ(parse_thumbprint(k_shown, "key"), k_digits);
  EXPECT_EQ(parse_thumbprint(k_digits, "key"), k_digits);
  EXPECT_EQ(show_thumbprint(k_digits), k_shown);
  const std::string sha256(64, 'A');
  EXPECT_EQ(parse_thumbprint(sha256, "key"), std::string(64, 'a'));
}

// Break it: a thumbprint of no digits would accept nothing, or anything.
TEST(Thumbprint, AnythingElseIsRefused) {
  for (const char* wrong : {"", "9C", "9C:86:0A:43:0D:0B:4A:E6:DA:1D:0E:4A:76:72:C1:85:7D:C1:36",
                            "9c860a430d0b4ae6da1d0e4a7672c1857dc1362g",
                            "SHA1 Fingerprint=9C:86:0A:43:0D:0B:4A:E6:DA:1D:0E:4A:76:72:C1:85"}) {
    EXPECT_THROW(parse_thumbprint(wrong, "key"), Error) << wrong;
  }
}

}  // namespace
}  // namespace hamal
