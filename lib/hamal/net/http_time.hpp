// The times of HTTP headers, and how S3 is told times; those that it tells are of RFC 3339.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace hamal {

/// "Wed, 25 Nov 2026 01:05:17 GMT"; nullopt for anything else (the obsolete forms too).
std::optional<std::chrono::system_clock::time_point> parse_http_date(std::string_view text);
/// "20261125T010517Z"
std::string basic_iso_time(std::chrono::system_clock::time_point when);
/// "2026-11-25T01:05:17Z", rounded up to a whole second.
std::string iso_time_rounded_up(std::chrono::system_clock::time_point when);

}  // namespace hamal
