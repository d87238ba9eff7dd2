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

namespace hamal::repository {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

/// A data key wrapped to one recipient: what the object keys/ID holds a list of.
struct WrappedKey {
  std::string recipient;  ///< fingerprint of the public key
  std::string wrapped;    ///< base64: ephemeral public key, nonce, sealed key, tag
};

/// Seals records of one process: one data key, a counter for the nonce. Thread-safe.
class RecordSealer {
 public:
  virtual ~RecordSealer() = default;
  /// nullopt: plain.
  virtual std::optional<KeyId> key_id() const = 0;
  /// The nonce used; `sealed` is as long as the body and the tag of 16 bytes.
  virtual std::uint64_t seal(const RecordId& id, ByteView body, Bytes& sealed) = 0;
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
  /// Opens a sealed body. `key_object` fetches the text of keys/ID when the key is not known yet.
  virtual Bytes open_record(const KeyId& key, std::uint64_t nonce, const RecordId& id,
                            ByteView sealed,
                            const std::function<std::string(const KeyId&)>& key_object) const = 0;
};

}  // namespace hamal::repository
