// What a slot holds: the manifest of a version, or a tombstone (hamal-repository(5), MANIFESTS).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "hamal/repository/keyring.hpp"
#include "hamal/repository/layer.hpp"
#include "hamal/repository/names.hpp"
#include "hamal/stream/stream_header.hpp"

namespace hamal::repository {

/// Bytes of a slot's object; nobody reads more.
inline constexpr std::uint64_t k_max_manifest = 64U << 20;

/// One disk of a version; also what a session stages of it (staged/SESSION/INDEX).
struct DiskVersion {
  std::string id;
  std::string label;
  std::uint64_t index = 0;  ///< its place in the vm
  std::uint64_t size = 0;   ///< bytes
  std::string change_id;    ///< empty: untracked, the next run is a full
  SyncMode mode = SyncMode::full;
  std::string reason;                  ///< of the mode
  std::vector<LayerReference> layers;  ///< newest first
  /// Bytes: what the run read as data and as zeros, what it stored for that, what of it was there
  /// already.
  std::uint64_t data_bytes = 0;
  std::uint64_t zero_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t shared_bytes = 0;
  std::uint64_t packs = 0;  ///< that the run put
  friend bool operator==(const DiskVersion&, const DiskVersion&) = default;
};

struct Parent {
  std::uint64_t generation = 0;
  Digest digest{};  ///< SHA-256 of its manifest's text: lineage, never followed to read
  friend bool operator==(const Parent&, const Parent&) = default;
};

struct Manifest {
  std::string repository;  ///< id
  VmName vm;
  std::string vm_name;
  std::uint64_t generation = 0;
  SessionId session{};
  std::string snapshot_id;
  std::string created;    ///< of the snapshot, RFC 3339
  std::string committed;  ///< RFC 3339, by the writer's clock
  std::optional<Parent> parent;
  std::string document;  ///< the snapshot document, JSON
  std::vector<DiskVersion> disks;
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

/// A slot that will never hold a version again.
struct Tombstone {
  enum class Why { aborted, dropped };
  Why why = Why::aborted;
  std::string when;  ///< RFC 3339
};

using Slot = std::variant<Manifest, Tombstone>;

/// JSON on one line, then a line with the authentication of it, bound to `key`.
std::string to_text(const Manifest& manifest, const std::string& key, const Keyring& keyring);
std::string to_text(const Tombstone& tombstone, const std::string& key, const Keyring& keyring);
/// Throws a permanent Error naming `key`: not authentic, of a newer version, a field that is wrong.
Slot parse_slot(std::string_view text, const std::string& key, const Keyring& keyring);

/// A staged disk, authenticated likewise.
std::string to_text(const DiskVersion& disk, const std::string& key, const Keyring& keyring);
DiskVersion parse_staged(std::string_view text, const std::string& key, const Keyring& keyring);

Digest text_digest(std::string_view text);

}  // namespace hamal::repository
