// Times as texts, of RFC 3339 and of HTTP headers: any text is no time, or one that has not wrapped
// round and that is written and read again as the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hamal/net/http_time.hpp"
#include "hamal/util/time.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);  // NOLINT: fuzzer's API
  const auto when = hamal::parse_rfc3339(text);
  if (when && hamal::parse_rfc3339(hamal::rfc3339(*when)) !=
                  std::chrono::floor<std::chrono::milliseconds>(*when)) {
    std::abort();
  }
  const auto date = hamal::parse_http_date(text);
  if (date && date->time_since_epoch().count() < 0) {
    std::abort();
  }
  return 0;
}
