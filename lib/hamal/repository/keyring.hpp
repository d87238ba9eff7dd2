// The secrets of a repository, as far as this process holds them: how records get their ids, how
// records and index objects are sealed, how manifests are authenticated (hamal-repository(5),
// ENCRYPTION). A repository without encryption has the same calls: ids are SHA-256, sealing is the
// identity, authentication is a checksum.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/repository/names.hpp"

namespace hamal {
struct RepositorySection;
}

namespace hamal::repository {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

inline constexpr std::uint32_t k_seal_tag_bytes = 16;  ///< appended to what is sealed

/// Fetches the text of keys/ID.
using FetchKeyObject = std::function<std::string(const KeyId&)>;

/// Seals records of one process: one data key, a counter for the nonce. Thread-safe.
class RecordSealer {
 public:
  virtual ~RecordSealer() = default;
  /// nullopt: plain.
  virtual std::optional<KeyId> key_id() const = 0;
  /// Appends the sealed body, k_seal_tag_bytes longer than `body`, and returns the nonce used. Of a
  /// plain sealer: the body itself, and 0. `body` must not lie in `to`.
  virtual std::uint64_t seal(const RecordId& id, ByteView body, Bytes& to) = 0;
};

/// Thread-safe. Errors: hamal::Error; what does not authenticate is a permanent one saying so.
class Keyring {
 public:
  virtual ~Keyring() = default;
  virtual bool encrypted() const noexcept = 0;
  virtual RecordId record_id(ByteView plain) const = 0;
  /// Index objects (layers, compactions, staged parts …): confidential and bound to their name.
  virtual Bytes seal_index(ByteView plain, std::string_view name) const = 0;
  virtual Bytes open_index(ByteView sealed, std::string_view name) const = 0;
  /// Over a manifest's text, bound to the key of its object.
  virtual Digest authenticate(std::string_view text, std::string_view name) const = 0;

  /// A new data key for this process, with what must be put under keys/ID before the first pack
  /// that names it. Empty text when nothing is encrypted.
  virtual std::unique_ptr<RecordSealer> new_sealer(std::string& key_object) const = 0;
  /// Whether records can be read: a private key is here, or nothing is encrypted.
  virtual bool can_read_records() const noexcept = 0;
  /// Opens a sealed body into `body` (its content is replaced). `key_object` is called when the
  /// key is not known yet.
  virtual void open_record(const KeyId& key, std::uint64_t nonce, const RecordId& id,
                           ByteView sealed, Bytes& body,
                           const FetchKeyObject& key_object) const = 0;
};

/// Of a repository without encryption.
std::unique_ptr<Keyring> make_plain_keyring();

struct Description;
/// The secrets come from [repository] of hamal.conf. Throws Error(usage) when they are missing or
/// not those of this repository. The description is checked with the keyring afterwards.
std::unique_ptr<Keyring> make_keyring(const Description& description,
                                      const RepositorySection& config);

}  // namespace hamal::repository
