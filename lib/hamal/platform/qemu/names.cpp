// The grammar of our names in QEMU.
#include "hamal/platform/qemu/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "hamal/util/random_id.hpp"

namespace hamal::qemu {
namespace {

constexpr std::string_view k_prefix = "hamal-";
constexpr std::string_view k_read = "read-";
constexpr std::size_t k_mark_digits = 8;
constexpr std::size_t k_random_digits = 4;
constexpr std::size_t k_own_digits = 8;

bool is_hex(std::string_view text, std::size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

/// Takes what precedes the next '-' (or all of it) off the front.
std::string_view take(std::string_view& text) {
  const std::size_t dash = text.find('-');
  const std::string_view part = text.substr(0, dash);
  text.remove_prefix(dash == std::string_view::npos ? text.size() : dash + 1);
  return part;
}

std::optional<std::uint32_t> parse_sequence(std::string_view digits) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size() ||
      digits != fmt::format("{:06}", value)) {
    return std::nullopt;
  }
  return value;
}

}  // namespace

std::string to_string(const SnapshotName& name) {
  return fmt::format("{}{}-{:06}-{}", k_prefix, name.mark, name.sequence, name.random);
}

std::optional<OwnedName> parse_owned_name(std::string_view text) {
  if (!text.starts_with(k_prefix)) {
    return std::nullopt;
  }
  text.remove_prefix(k_prefix.size());
  const std::string_view mark = take(text);
  const std::optional<std::uint32_t> sequence = parse_sequence(take(text));
  const std::string_view random = take(text);
  if (!is_mark(mark) || !sequence || !is_hex(random, k_random_digits)) {
    return std::nullopt;
  }
  return OwnedName{{std::string(mark), *sequence, std::string(random)}, std::string(text)};
}

std::optional<SnapshotName> parse_snapshot_name(std::string_view text) {
  const auto owned = parse_owned_name(text);
  // Written back and compared: a trailing '-' leaves an empty rest as well.
  if (!owned || to_string(owned->snapshot) != text) {
    return std::nullopt;
  }
  return owned->snapshot;
}

std::string to_string(const BitmapName& name) {
  return fmt::format("{}-{}-{}", to_string(name.snapshot), name.previous, name.own);
}

std::string new_own() {
  return random_hex(k_own_digits);
}

std::optional<BitmapName> parse_bitmap_name(std::string_view text) {
  const auto owned = parse_owned_name(text);
  if (!owned) {
    return std::nullopt;
  }
  std::string_view own = owned->rest;
  const std::string_view previous = take(own);
  if ((previous != k_no_previous && !is_hex(previous, k_random_digits)) ||
      !is_hex(own, k_own_digits)) {
    return std::nullopt;
  }
  return BitmapName{owned->snapshot, std::string(previous), std::string(own)};
}

std::string node_name(const std::string& snapshot_id, NodeKind kind, std::size_t disk) {
  return fmt::format("{}-{}{}", snapshot_id, static_cast<char>(kind), disk);
}

std::string frozen_export_of(const std::string& filter_node) {
  std::string name = filter_node;
  const std::size_t kind = name.rfind('-') + 1;
  if (kind < name.size()) {
    name[kind] = static_cast<char>(NodeKind::frozen_export);
  }
  return name;
}

std::string read_name(const std::string& snapshot_id, const std::string& random) {
  return fmt::format("{}-{}{}", snapshot_id, k_read, random);
}

bool is_read_name(const OwnedName& name) {
  return name.rest.starts_with(k_read);
}

std::string top_filter_name(const std::string& mark, const std::string& random) {
  return fmt::format("{}{}-top-{}", k_prefix, mark, random);
}

bool is_top_filter_name(std::string_view text, const std::string& mark) {
  return text.starts_with(top_filter_name(mark, ""));
}

std::string server_marker_name(const std::string& mark) {
  return fmt::format("{}{}-nbd", k_prefix, mark);
}

bool is_hamal_name(std::string_view text) {
  return text.starts_with(k_prefix);
}

bool is_mark(std::string_view text) {
  return is_hex(text, k_mark_digits);
}

}  // namespace hamal::qemu
