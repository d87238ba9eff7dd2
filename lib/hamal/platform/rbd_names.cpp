#include "hamal/platform/rbd_names.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "hamal/util/random_id.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

constexpr std::string_view k_prefix = "hamal-";
constexpr std::string_view k_base_suffix = ".base";
constexpr std::string_view k_change_prefix = "rbd:";
constexpr std::size_t k_mark = 8;
constexpr std::size_t k_time = 16;  // 20261130T120000Z

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isdigit(c) != 0 || (c >= 'a' && c <= 'f');
  });
}

bool is_time(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool fits = i == 8    ? text[i] == 'T'
                      : i == 15 ? text[i] == 'Z'
                                : std::isdigit(static_cast<unsigned char>(text[i])) != 0;
    if (!fits) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::string new_snapshot_id(const std::string& mark) {
  std::string time = rfc3339(system_clock().wall());
  std::erase_if(time, [](char c) { return c == '-' || c == ':'; });
  if (const std::size_t fraction = time.find('.'); fraction != std::string::npos) {
    time = time.substr(0, fraction) + "Z";
  }
  return mark + "-" + time + "-" + random_hex(8);
}

std::string held_name(const std::string& id) {
  return std::string(k_prefix) + id;
}

std::string base_name(const std::string& id) {
  return held_name(id) + std::string(k_base_suffix);
}

std::optional<RbdSnapshotName> parse_snapshot_name(const std::string& name) {
  std::string_view rest = name;
  if (!rest.starts_with(k_prefix)) {
    return std::nullopt;
  }
  rest.remove_prefix(k_prefix.size());
  RbdSnapshotName parsed;
  if (rest.ends_with(k_base_suffix)) {
    parsed.base = true;
    rest.remove_suffix(k_base_suffix.size());
  }
  parsed.id = rest;
  if (rest.size() <= k_mark + 1 + k_time + 1 || rest[k_mark] != '-' ||
      rest[k_mark + 1 + k_time] != '-' || !is_hex(rest.substr(0, k_mark)) ||
      !is_time(rest.substr(k_mark + 1, k_time)) || !is_hex(rest.substr(k_mark + k_time + 2))) {
    return std::nullopt;
  }
  parsed.mark = rest.substr(0, k_mark);
  return parsed;
}

std::string created_of_snapshot(const std::string& id) {
  if (!parse_snapshot_name(held_name(id))) {
    return {};
  }
  const std::string t = id.substr(k_mark + 1, k_time);
  return t.substr(0, 4) + "-" + t.substr(4, 2) + "-" + t.substr(6, 5) + ":" + t.substr(11, 2) +
         ":" + t.substr(13, 3);
}

std::string to_string(const RbdChangeId& id) {
  return std::string(k_change_prefix) + id.image + ":" + std::to_string(id.snapshot) + ":" +
         id.name;
}

std::optional<RbdChangeId> parse_rbd_change_id(const std::string& text) {
  std::string_view rest = text;
  if (!rest.starts_with(k_change_prefix)) {
    return std::nullopt;
  }
  rest.remove_prefix(k_change_prefix.size());
  const std::size_t first = rest.find(':');
  const std::size_t second = first == std::string_view::npos ? first : rest.find(':', first + 1);
  if (second == std::string_view::npos || first == 0) {
    return std::nullopt;
  }
  RbdChangeId id;
  id.image = rest.substr(0, first);
  const std::string_view number = rest.substr(first + 1, second - first - 1);
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), id.snapshot);
  if (error != std::errc() || end != number.data() + number.size()) {
    return std::nullopt;
  }
  id.name = rest.substr(second + 1);
  return id;
}

}  // namespace hamal
