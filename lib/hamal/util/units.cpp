#include "hamal/util/units.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <limits>

#include "hamal/util/text.hpp"

namespace hamal {
namespace {

// "1.5G" → whole 1, fraction ".5" as an exact decimal, suffix "G".
struct Quantity {
  std::uint64_t whole = 0;
  std::uint64_t fraction = 0;
  std::uint64_t fraction_scale = 1;
  std::string_view suffix;
};

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

std::optional<Quantity> split_quantity(std::string_view text) {
  Quantity quantity;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, quantity.whole);
  if (error != std::errc{}) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  if (!text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    if (text.empty() || !is_digit(text.front())) {
      return std::nullopt;
    }
    // More digits than these cannot change a number of bytes that anyone means.
    constexpr std::uint64_t k_most = 1'000'000;
    while (!text.empty() && is_digit(text.front())) {
      if (quantity.fraction_scale < k_most) {
        quantity.fraction = quantity.fraction * 10 + static_cast<std::uint64_t>(text.front() - '0');
        quantity.fraction_scale *= 10;
      }
      text.remove_prefix(1);
    }
  }
  quantity.suffix = trim(text);
  return quantity;
}

std::optional<std::uint64_t> scale(const Quantity& quantity, std::uint64_t unit) {
  if (unit != 0 && quantity.whole > std::numeric_limits<std::uint64_t>::max() / unit) {
    return std::nullopt;
  }
  const std::uint64_t whole = quantity.whole * unit;
  // In two parts, since the product of a large unit and many digits would not fit.
  const std::uint64_t digit = quantity.fraction_scale;
  const std::uint64_t part =
      unit / digit * quantity.fraction + unit % digit * quantity.fraction / digit;
  if (whole > std::numeric_limits<std::uint64_t>::max() - part) {
    return std::nullopt;
  }
  return whole + part;
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto quantity = split_quantity(text);
  if (!quantity) {
    return std::nullopt;
  }
  std::string suffix = to_lower(quantity->suffix);
  if (suffix.empty() || suffix == "b") {
    return quantity->fraction_scale == 1 ? scale(*quantity, 1) : std::nullopt;
  }
  const std::string_view rest = std::string_view(suffix).substr(1);
  const auto power = std::string_view("kmgtpe").find(suffix.front());
  if (power == std::string_view::npos || (!rest.empty() && rest != "b" && rest != "ib")) {
    return std::nullopt;
  }
  return scale(*quantity, 1ULL << (10 * (power + 1)));
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array k_units{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) {
    return fmt::format("{} B", bytes);
  }
  auto value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  // 1023.95 would be shown as "1024.0".
  while (value >= 1023.95 && unit + 1 < k_units.size()) {
    value /= 1024;
    ++unit;
  }
  std::string number = fmt::format("{:.1f}", value);
  if (number.ends_with(".0")) {
    number.resize(number.size() - 2);
  }
  return number + " " + k_units[unit];
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto quantity = split_quantity(text);
  if (!quantity) {
    return std::nullopt;
  }
  struct Unit {
    std::string_view name;
    std::uint64_t ms;
  };
  constexpr std::array<Unit, 7> k_units{{{"", 1000},
                                         {"ms", 1},
                                         {"s", 1000},
                                         {"m", 60'000},
                                         {"h", 3'600'000},
                                         {"d", 86'400'000},
                                         {"w", 7 * 86'400'000ULL}}};
  const std::string suffix = to_lower(quantity->suffix);
  for (const Unit& unit : k_units) {
    if (suffix != unit.name) {
      continue;
    }
    const auto ms = scale(*quantity, unit.ms);
    // Callers add durations to points in time: a thousand years is more than enough.
    constexpr std::uint64_t k_longest = 1000ULL * 366 * 86'400'000;
    if (!ms || *ms > k_longest) {
      return std::nullopt;
    }
    return std::chrono::milliseconds(*ms);
  }
  return std::nullopt;
}

std::string format_duration(std::chrono::seconds duration) {
  const auto total = duration.count() < 0 ? 0 : duration.count();
  const auto hours = total / 3600;
  if (hours == 0) {
    return fmt::format("{:02}:{:02}", total / 60, total % 60);
  }
  return fmt::format("{}:{:02}:{:02}", hours, total / 60 % 60, total % 60);
}

namespace {

bool is_unreserved(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

std::optional<unsigned> hex_value(char c) noexcept {
  if (is_digit(c)) {
    return static_cast<unsigned>(c - '0');
  }
  if (c >= 'a' && c <= 'f') {
    return static_cast<unsigned>(c - 'a') + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return static_cast<unsigned>(c - 'A') + 10;
  }
  return std::nullopt;
}

}  // namespace

std::string percent_encode(std::string_view text, std::string_view keep) {
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if (is_unreserved(c) || (c != '%' && keep.find(c) != std::string_view::npos)) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      if (text[i] == '\0') {
        return std::nullopt;
      }
      decoded += text[i];
      continue;
    }
    if (text.size() - i < 3) {
      return std::nullopt;
    }
    const auto high = hex_value(text[i + 1]);
    const auto low = hex_value(text[i + 2]);
    if (!high || !low || (*high == 0 && *low == 0)) {
      return std::nullopt;
    }
    decoded += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return decoded;
}

}  // namespace hamal
