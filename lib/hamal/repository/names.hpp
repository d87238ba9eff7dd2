// The names of a repository's parts, and the keys of the objects that hold them
// (hamal-repository(5), LAYOUT).
#pragma once
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hamal::repository {

/// SHA-256 of a record's plain bytes, or HMAC-SHA-256 of them in an encrypted repository.
using RecordId = std::array<std::byte, 32>;
using Digest = std::array<std::byte, 32>;

/// 128 random bits, made once per session; of a data key likewise.
using SessionId = std::array<std::byte, 16>;
using KeyId = std::array<std::byte, 16>;

/// A pack's number has 8 digits.
inline constexpr std::uint32_t k_highest_pack = 99'999'999;

/// Packs lie under their session's name and are never reused.
struct PackName {
  SessionId session{};
  std::uint32_t number = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes the comparison with 0 for one
  friend auto operator<=>(const PackName&, const PackName&) = default;
};

/// Whose versions a slot counts: identity is the platform's NAME and the vm's id.
struct VmName {
  std::string platform;
  std::string vm_id;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes the comparison with 0 for one
  friend auto operator<=>(const VmName&, const VmName&) = default;
};

std::string to_hex(const SessionId& id);
std::string to_hex(const Digest& digest);
std::optional<SessionId> parse_session_id(std::string_view hex);
std::optional<Digest> parse_digest(std::string_view hex);
SessionId random_session_id();

/// Any text as part of a key: [A-Za-z0-9_-] and inner "." stay, every other byte is "=XX", nothing
/// is "=". Longer than 160 characters: cut, with "==" and the first 16 hexadecimal digits of the
/// SHA-256 of the text. What was cut is not cut again: it stands for itself.
std::string escape_key_part(std::string_view text);
/// nullopt for what escape_key_part() never makes. Of a cut one it is the part itself, so that a
/// key found in a list names the same object again; the whole name is in the manifest.
std::optional<std::string> unescape_key_part(std::string_view part);

inline constexpr const char* k_description_key = "repository.json";
std::string session_key(const SessionId& id);                           // sessions/ID
std::string beat_key(const SessionId& id);                              // beats/ID
std::string staged_key(const SessionId& id, std::uint64_t disk_index);  // staged/ID/INDEX
std::string pack_key(const PackName& pack);                             // packs/ID/NNNNNNNN
std::string layer_key(const SessionId& id, std::uint64_t disk_index,
                      unsigned number);                            // layers/ID/INDEX-N
std::string data_key_key(const KeyId& id);                         // keys/ID
std::string versions_prefix(const VmName& vm);                     // versions/PLATFORM/VM/
std::string slot_key(const VmName& vm, std::uint64_t generation);  // …GGGGGGGGGG (10 digits)
std::string compaction_key(std::uint64_t number);                  // compactions/NNNNNNNNNN
std::string condemned_key(std::uint64_t number);                   // condemned/NNNNNNNNNN
std::string verdict_key(std::uint64_t number);                     // verdicts/NNNNNNNNNN
std::string awaited_key(std::uint64_t number);                     // awaited/NNNNNNNNNN
std::string done_key(std::uint64_t number);                        // done/NNNNNNNNNN
std::string damaged_key(std::uint64_t number);                     // damaged/NNNNNNNNNN
/// The number of a key FOLDER/NNNNNNNNNN.
std::optional<std::uint64_t> parse_numbered_key(std::string_view key, std::string_view folder);

std::optional<PackName> parse_pack_key(std::string_view key);
struct SlotName {
  VmName vm;
  std::uint64_t generation = 0;
};
std::optional<SlotName> parse_slot_key(std::string_view key);

}  // namespace hamal::repository
