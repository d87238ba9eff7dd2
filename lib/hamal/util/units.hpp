// Sizes, durations and percent-encoding: parsing what people write, writing what people read.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hamal {

/// "4096", "64K", "1.5G", "2TiB" → bytes (powers of 1024). nullopt when it is not such a text.
std::optional<std::uint64_t> parse_size(std::string_view text);
/// 1536 → "1.5 KiB"
std::string format_size(std::uint64_t bytes);
/// "90", "90s", "5m", "24h", "7d" → milliseconds (a bare number counts seconds).
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
/// 3725 s → "1:02:05"; under an hour "02:05"
std::string format_duration(std::chrono::seconds duration);

/// RFC 3986: everything but unreserved characters, and those in `keep`, becomes %XX.
std::string percent_encode(std::string_view text, std::string_view keep = {});
/// nullopt for a broken escape or an encoded NUL.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace hamal
