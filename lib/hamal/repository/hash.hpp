// SHA-256 and HMAC-SHA-256, without an allocation per call. Private to this folder.
#pragma once
#include <memory>
#include <span>
#include <string_view>

#include "hamal/repository/names.hpp"

namespace hamal::repository {

/// The bytes of a text.
inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

Digest sha256(std::span<const std::byte> bytes);

/// Of what comes in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(std::span<const std::byte> bytes);
  /// May be followed by another message.
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

/// Under one key, whose two blocks are hashed once. Thread-safe. The key is wiped when it ends.
class HmacSha256 {
 public:
  explicit HmacSha256(std::span<const std::byte> key);
  ~HmacSha256();
  HmacSha256(const HmacSha256&) = delete;
  HmacSha256& operator=(const HmacSha256&) = delete;
  /// Of the pieces, one after the other.
  Digest of(std::span<const std::byte> first, std::span<const std::byte> second = {}) const;

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

}  // namespace hamal::repository
