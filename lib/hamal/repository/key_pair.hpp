// The key pairs of recipients (X25519, PEM), and keys wrapped to them (hamal-repository(5),
// ENCRYPTION). Private to this folder.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "hamal/repository/secret_key.hpp"

namespace hamal::repository {

/// Wraps: whoever has it cannot unwrap.
class PublicKey {
 public:
  /// Throws Error(usage) naming `what` for anything but a public X25519 key in PEM.
  static PublicKey parse(const std::string& pem, const std::string& what);
  ~PublicKey();
  PublicKey(PublicKey&&) noexcept;
  PublicKey& operator=(PublicKey&&) noexcept;

  /// SHA-256 of its DER form (openssl pkey -pubin -outform DER | sha256sum).
  const std::string& fingerprint() const noexcept;
  const std::string& pem() const noexcept;
  /// Hexadecimal digits of: an ephemeral public key, the sealed key, the tag. Opens again only with
  /// the same `purpose`.
  std::string wrap(const SecretKey& key, std::string_view purpose) const;

 private:
  friend class PrivateKey;
  PublicKey();
  struct State;
  std::unique_ptr<State> m_state;
};

class PrivateKey {
 public:
  /// Throws Error(usage) naming `what`; never with any part of the text.
  static PrivateKey parse(const std::string& pem, const std::string& what);
  ~PrivateKey();
  PrivateKey(PrivateKey&&) noexcept;
  PrivateKey& operator=(PrivateKey&&) noexcept;

  /// Of its public key.
  const std::string& fingerprint() const noexcept;
  /// Throws a permanent Error naming `object` when it was not wrapped to this key for this purpose.
  SecretKey unwrap(std::string_view wrapped, std::string_view purpose,
                   const std::string& object) const;

 private:
  PrivateKey();
  struct State;
  std::unique_ptr<State> m_state;
};

/// A new pair, in PEM. The private half is to be wiped.
struct KeyPairText {
  std::string private_key;
  std::string public_key;
};
KeyPairText generate_key_pair();

}  // namespace hamal::repository
