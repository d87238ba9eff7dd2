// When a request is sent again: full jitter under a bound that doubles, and never before the
// console allows it.
#pragma once
#include <chrono>
#include <optional>

#include "hamal/net/http_client.hpp"

namespace hamal::mass {

/// No connection, 408, 429, 500, 502, 503 and 504 may pass.
bool may_pass(int status);

/// Retry-After in seconds, or as a date, which is of the clock of the reply's Date, else of `now`;
/// at most a day. nullopt when there is none that can be read.
std::optional<std::chrono::seconds> retry_after(const HttpReply& reply,
                                                std::chrono::system_clock::time_point now);

/// Not thread-safe.
class Pauses {
 public:
  std::chrono::milliseconds next();

 private:
  std::chrono::milliseconds m_bound{250};
};

}  // namespace hamal::mass
