// Times of services: what is one, and what is not.
#include "hamal/net/http_time.hpp"

#include <gtest/gtest.h>

#include "hamal/net/digest.hpp"

namespace hamal {
namespace {

using namespace std::chrono_literals;

const auto k_when = std::chrono::system_clock::time_point(
                        std::chrono::sys_days(std::chrono::year(2026) / 11 / 25)) +
                    1h + 5min + 17s;

TEST(HttpTime, IsParsed) {
  EXPECT_EQ(parse_http_date("Wed, 25 Nov 2026 01:05:17 GMT"), k_when);
  for (const char* text : {"", "Wed, 25 Nov 2026 01:05:17", "Wed, 25 Nob 2026 01:05:17 GMT",
                           "Wed, 32 Nov 2026 01:05:17 GMT", "Wed, 25 Nov 2026 24:05:17 GMT",
                           "Wed, 2x Nov 2026 01:05:17 GMT", "Wednesday, 25-Nov-26 01:05:17 GMT",
                           "Wed, 25 Nov 1026 01:05:17 GMT", "Wed, 25 Nov 9026 01:05:17 GMT"}) {
    EXPECT_FALSE(parse_http_date(text)) << text;
  }
}

TEST(HttpTime, IsWritten) {
  EXPECT_EQ(basic_iso_time(k_when + 999ms), "20261125T010517Z");
  EXPECT_EQ(iso_time_rounded_up(k_when), "2026-11-25T01:05:17Z");
  EXPECT_EQ(iso_time_rounded_up(k_when + 1ms), "2026-11-25T01:05:18Z");
}

TEST(Digest, IsWrittenAsServicesDo) {
  const std::string_view text = "foobar";
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(to_base64(bytes.first(4)), "Zm9vYg==");
  EXPECT_EQ(to_base64(bytes), "Zm9vYmFy");
  EXPECT_EQ(to_base64({}), "");
  EXPECT_EQ(to_hex(md5({})), "d41d8cd98f00b204e9800998ecf8427e");
}

}  // namespace
}  // namespace hamal
