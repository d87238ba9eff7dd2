#include "hamal/mass/retry.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <random>

#include "hamal/net/http_time.hpp"

namespace hamal::mass {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds k_longest_pause{30'000};
constexpr seconds k_longest_wait{86'400};

}  // namespace

bool may_pass(int status) {
  constexpr std::array k_passing{408, 429, 500, 502, 503, 504};
  return std::find(k_passing.begin(), k_passing.end(), status) != k_passing.end();
}

std::optional<seconds> retry_after(const HttpReply& reply,
                                   std::chrono::system_clock::time_point now) {
  const std::string_view text = reply.header("retry-after");
  std::uint32_t count = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, count);
  if (!text.empty() && error == std::errc{} && rest == end) {
    return std::min(seconds(count), k_longest_wait);
  }
  const auto when = parse_http_date(text);
  if (!when) {
    return std::nullopt;
  }
  const auto their_now = parse_http_date(reply.header("date")).value_or(now);
  const auto wait = std::chrono::ceil<seconds>(*when - their_now);
  return std::clamp(wait, seconds(0), k_longest_wait);
}

milliseconds Pauses::next() {
  thread_local std::minstd_rand random{std::random_device{}()};
  const milliseconds pause(
      std::uniform_int_distribution<milliseconds::rep>(10, m_bound.count())(random));
  m_bound = std::min(m_bound * 2, k_longest_pause);
  return pause;
}

}  // namespace hamal::mass
