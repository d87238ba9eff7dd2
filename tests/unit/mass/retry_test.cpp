// Pauses between attempts, and what a Retry-After means.
#include "hamal/mass/retry.hpp"

#include <gtest/gtest.h>

#include "hamal/net/http_time.hpp"

namespace hamal::mass {
namespace {

using namespace std::chrono_literals;

const auto k_now = *parse_http_date("Sun, 29 Nov 2026 12:00:00 GMT");

std::optional<std::chrono::seconds> wait(std::vector<HttpHeader> headers) {
  HttpReply reply;
  reply.headers = std::move(headers);
  return retry_after(reply, k_now);
}

TEST(RetryAfter, IsSecondsOrADate) {
  EXPECT_EQ(wait({}), std::nullopt);
  EXPECT_EQ(wait({{"retry-after", "7"}}), 7s);
  EXPECT_EQ(wait({{"retry-after", "Sun, 29 Nov 2026 12:00:09 GMT"}}), 9s);
}

TEST(RetryAfter, ADateIsOfTheConsolesClock) {
  EXPECT_EQ(wait({{"date", "Sun, 29 Nov 2026 13:00:00 GMT"},
                  {"retry-after", "Sun, 29 Nov 2026 13:00:05 GMT"}}),
            5s);
}

TEST(RetryAfter, IsBounded) {
  EXPECT_EQ(wait({{"retry-after", "999999999"}}), 24h);
  EXPECT_EQ(wait({{"retry-after", "Sun, 29 Nov 2099 12:00:00 GMT"}}), 24h);
  EXPECT_EQ(wait({{"retry-after", "Sun, 29 Nov 2020 12:00:00 GMT"}}), 0s);
  for (const char* none : {"soon", "-1", "1.5", "7 s", "99999999999999"}) {
    EXPECT_EQ(wait({{"retry-after", none}}), std::nullopt) << none;
  }
}

TEST(Pauses, AreUnderABoundThatDoubles) {
  Pauses pauses;
  auto bound = 250ms;
  for (int i = 0; i < 20; ++i) {
    const auto pause = pauses.next();
    EXPECT_GE(pause, 10ms);
    EXPECT_LE(pause, bound);
    bound = std::min<std::chrono::milliseconds>(bound * 2, 30s);
  }
}

TEST(MayPass, IsForWhatMayPass) {
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    EXPECT_TRUE(may_pass(status)) << status;
  }
  for (const int status : {301, 400, 401, 403, 404, 409, 413, 501}) {
    EXPECT_FALSE(may_pass(status)) << status;
  }
}

}  // namespace
}  // namespace hamal::mass
