// The kinds of values of hamal.conf: text to type and back, with what is allowed in words.
#pragma once
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hamal {

/// True/False, yes/no, on/off, 1/0 in any case.
std::optional<bool> parse_bool(std::string_view text);

/// What a bare number counts.
enum class Unit { bytes, megabytes, milliseconds, seconds };

/// A range of whole numbers, both ends allowed.
struct CountRange {
  std::uint64_t lowest = 0;
  std::uint64_t highest = std::numeric_limits<std::uint64_t>::max();
};

std::optional<std::uint64_t> parse_count(std::string_view text, CountRange range);
std::string allowed_count(CountRange range);

/// Milliseconds; a bare number counts seconds or milliseconds.
struct DurationRange {
  std::chrono::milliseconds lowest;
  std::chrono::milliseconds highest;
  Unit bare = Unit::seconds;
};

std::optional<std::chrono::milliseconds> parse_ranged_duration(std::string_view text,
                                                               const DurationRange& range);
std::string allowed_duration(const DurationRange& range);
/// As an operator would write it: "60", "24h".
std::string show_duration(std::chrono::milliseconds duration, Unit bare);

/// Bytes; a bare number counts bytes or megabytes.
struct SizeRange {
  std::uint64_t lowest = 0;
  std::uint64_t highest = 0;
  Unit bare = Unit::bytes;
};

std::optional<std::uint64_t> parse_ranged_size(std::string_view text, const SizeRange& range);
std::string allowed_size(const SizeRange& range);

/// "one of a, b or c"
std::string allowed_words(const std::vector<std::string>& words);

/// Whether a URL has a password in it: USER:PASSWORD@ or ?password=.
bool carries_password(std::string_view url);

}  // namespace hamal
