#include "hamal/repository/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <vector>

#include "hamal/repository/hash.hpp"
#include "hamal/repository/hex.hpp"
#include "hamal/util/random_id.hpp"

namespace hamal::repository {
namespace {

constexpr std::size_t k_longest_part = 160;
constexpr std::string_view k_cut = "==";  // escapes never have it
constexpr std::size_t k_cut_digits = 16;
constexpr std::uint64_t k_highest_number = 9'999'999'999;  // 10 digits

template <std::size_t Size>
std::optional<std::array<std::byte, Size>> parse_bytes(std::string_view text) {
  std::array<std::byte, Size> bytes{};
  return parse_hex(text, bytes) ? std::optional(bytes) : std::nullopt;
}

bool stays(std::string_view text, std::size_t at) {
  const char c = text[at];
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || (c == '.' && at != 0 && at + 1 != text.size());
}

/// What was cut stands for itself wherever it is met again.
bool is_cut(std::string_view part) {
  constexpr std::size_t k_tail = k_cut.size() + k_cut_digits;
  if (part.size() > k_longest_part || part.size() + 2 < k_longest_part) {
    return false;
  }
  const std::string_view head = part.substr(0, part.size() - k_tail);
  const std::string_view digits = part.substr(part.size() - k_cut_digits);
  return part.substr(head.size(), k_cut.size()) == k_cut &&
         head.find(k_cut) == std::string_view::npos &&
         std::all_of(head.begin(), head.end(),
                     [](char c) {
                       return c == '=' || c == '.' || stays({&c, 1}, 0);
                     }) &&
         std::all_of(digits.begin(), digits.end(),
                     [](char c) { return hex_byte(c, '0').has_value(); });
}

/// Exactly `digits` decimal digits.
std::optional<std::uint64_t> parse_number(std::string_view text, std::size_t digits) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.size() != digits || error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

std::string numbered(std::string_view folder, std::uint64_t number) {
  if (number > k_highest_number) {
    throw std::logic_error("a number in a key has 10 digits");
  }
  return fmt::format("{}/{:010}", folder, number);
}

std::vector<std::string_view> split(std::string_view key) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0;;) {
    const std::size_t slash = key.find('/', at);
    parts.push_back(key.substr(at, slash - at));
    if (slash == std::string_view::npos) {
      return parts;
    }
    at = slash + 1;
  }
}

}  // namespace

std::string to_hex(const SessionId& id) {
  return hex_text(id);
}
std::string to_hex(const Digest& digest) {
  return hex_text(digest);
}

std::optional<SessionId> parse_session_id(std::string_view hex) {
  return parse_bytes<16>(hex);
}
std::optional<Digest> parse_digest(std::string_view hex) {
  return parse_bytes<32>(hex);
}

SessionId random_session_id() {
  return parse_session_id(random_hex(32)).value();
}

std::string escape_key_part(std::string_view text) {
  if (text.empty()) {
    return "=";
  }
  if (is_cut(text)) {
    return std::string(text);
  }
  std::string part;
  std::size_t whole = 0;  // of the part, up to where a cut would end it
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (stays(text, at)) {
      part += text[at];
    } else {
      part += fmt::format("={:02X}", static_cast<unsigned char>(text[at]));
    }
    if (part.size() + k_cut.size() + k_cut_digits <= k_longest_part) {
      whole = part.size();
    }
  }
  if (part.size() <= k_longest_part) {
    return part;
  }
  part.resize(whole);
  return part.append(k_cut).append(hex_text(sha256(bytes_of(text))).substr(0, k_cut_digits));
}

std::optional<std::string> unescape_key_part(std::string_view part) {
  std::string text;
  if (is_cut(part)) {
    text = part;
  } else {
    for (std::size_t at = 0; at < part.size() && part != "="; ++at) {
      if (part[at] != '=') {
        text += part[at];
        continue;
      }
      const auto byte = at + 2 < part.size() ? hex_byte(part[at + 1], part[at + 2], 'A')
                                             : std::optional<std::byte>();
      if (!byte) {
        return std::nullopt;
      }
      text += static_cast<char>(*byte);
      at += 2;
    }
  }
  return escape_key_part(text) == part ? std::optional(text) : std::nullopt;
}

std::string session_key(const SessionId& id) {
  return "sessions/" + hex_text(id);
}
std::string beat_key(const SessionId& id) {
  return "beats/" + hex_text(id);
}
std::string data_key_key(const KeyId& id) {
  return "keys/" + hex_text(id);
}

std::string staged_key(const SessionId& id, std::uint64_t disk_index) {
  return fmt::format("staged/{}/{}", hex_text(id), disk_index);
}

std::string pack_key(const PackName& pack) {
  if (pack.number > k_highest_pack) {
    throw std::logic_error("a session has at most 99,999,999 packs");
  }
  return fmt::format("packs/{}/{:08}", hex_text(pack.session), pack.number);
}

std::string layer_key(const SessionId& id, std::uint64_t disk_index, unsigned number) {
  return fmt::format("layers/{}/{}-{}", hex_text(id), disk_index, number);
}

std::string versions_prefix(const VmName& vm) {
  return "versions/" + escape_key_part(vm.platform) + "/" + escape_key_part(vm.vm_id) + "/";
}

std::string slot_key(const VmName& vm, std::uint64_t generation) {
  std::string prefix = versions_prefix(vm);
  prefix.pop_back();
  return numbered(prefix, generation);
}

std::string compaction_key(std::uint64_t number) {
  return numbered("compactions", number);
}
std::string condemned_key(std::uint64_t number) {
  return numbered("condemned", number);
}
std::string verdict_key(std::uint64_t number) {
  return numbered("verdicts", number);
}
std::string awaited_key(std::uint64_t number) {
  return numbered("awaited", number);
}
std::string done_key(std::uint64_t number) {
  return numbered("done", number);
}

std::string damaged_key(std::uint64_t number) {
  return numbered("damaged", number);
}

std::optional<std::uint64_t> parse_numbered_key(std::string_view key, std::string_view folder) {
  if (key.size() <= folder.size() || !key.starts_with(folder) || key[folder.size()] != '/') {
    return std::nullopt;
  }
  return parse_number(key.substr(folder.size() + 1), 10);
}

std::optional<PackName> parse_pack_key(std::string_view key) {
  const auto parts = split(key);
  if (parts.size() != 3 || parts[0] != "packs") {
    return std::nullopt;
  }
  const auto session = parse_session_id(parts[1]);
  const auto number = parse_number(parts[2], 8);
  if (!session || !number) {
    return std::nullopt;
  }
  return PackName{*session, static_cast<std::uint32_t>(*number)};
}

std::optional<SlotName> parse_slot_key(std::string_view key) {
  const auto parts = split(key);
  if (parts.size() != 4 || parts[0] != "versions") {
    return std::nullopt;
  }
  auto platform = unescape_key_part(parts[1]);
  auto vm_id = unescape_key_part(parts[2]);
  const auto generation = parse_number(parts[3], 10);
  if (!platform || !vm_id || !generation) {
    return std::nullopt;
  }
  return SlotName{{std::move(*platform), std::move(*vm_id)}, *generation};
}

}  // namespace hamal::repository
