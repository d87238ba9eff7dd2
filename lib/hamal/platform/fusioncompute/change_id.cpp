#include "hamal/platform/fusioncompute/change_id.hpp"

#include <fmt/core.h>

#include <charconv>
#include <vector>

#include "hamal/util/units.hpp"

namespace hamal::fusioncompute {
namespace {

constexpr std::string_view k_tag = "fc1";
constexpr std::size_t k_parts = 9;

std::optional<std::uint64_t> number_in(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

}  // namespace

std::string to_string(const ChangeId& id) {
  std::string text(k_tag);
  for (const std::string& part :
       {id.volume_urn, id.snapshot_urn, id.snap_uuid, id.tracking_begun,
        std::to_string(id.change_number), std::to_string(id.size), id.host_urn, id.datastore_urn}) {
    text += "/" + percent_encode(part, ":");
  }
  return text;
}

std::optional<ChangeId> parse_change_id(std::string_view text) {
  std::vector<std::string> parts;
  while (parts.size() < k_parts) {
    const std::size_t slash = text.find('/');
    const auto part = percent_decode(text.substr(0, slash));
    if (!part) {
      return std::nullopt;
    }
    parts.push_back(*part);
    if (slash == std::string_view::npos) {
      text = {};
      break;
    }
    text.remove_prefix(slash + 1);
  }
  if (parts.size() != k_parts || parts[0] != k_tag || !text.empty()) {
    return std::nullopt;
  }
  const auto number = number_in(parts[5]);
  const auto size = number_in(parts[6]);
  if (!number || !size || *number == 0) {
    return std::nullopt;
  }
  return ChangeId{.volume_urn = parts[1],
                  .snapshot_urn = parts[2],
                  .snap_uuid = parts[3],
                  .tracking_begun = parts[4],
                  .change_number = *number,
                  .size = *size,
                  .host_urn = parts[7],
                  .datastore_urn = parts[8]};
}

std::string why_not_comparable(const ChangeId& base, const ChangeId& now) {
  if (base.volume_urn != now.volume_urn) {
    return "the disk is another volume now";
  }
  if (base.size != now.size) {
    return fmt::format("the volume had {} bytes and has {} now", base.size, now.size);
  }
  if (base.datastore_urn != now.datastore_urn) {
    return "the volume was moved to another datastore";
  }
  if (base.host_urn != now.host_urn) {
    return "the vm runs on another host now (moved, or restarted by HA)";
  }
  if (base.tracking_begun != now.tracking_begun) {
    return "change tracking began anew (volCBTCreateTime is another one)";
  }
  if (now.change_number <= base.change_number) {
    return fmt::format(
        "chgID went from {} to {}: the host was restarted or the vm was reverted to a snapshot",
        base.change_number, now.change_number);
  }
  if (now.change_number != base.change_number + 1) {
    return fmt::format(
        "chgID went from {} to {}: snapshots were made in between that this target has not",
        base.change_number, now.change_number);
  }
  return {};
}

}  // namespace hamal::fusioncompute
