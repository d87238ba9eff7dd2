// AES-256-GCM under one key. Private to this folder.
#pragma once
#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "hamal/repository/secret_key.hpp"

namespace hamal::repository {

using GcmNonce = std::array<std::byte, 12>;
inline constexpr std::size_t k_gcm_tag_bytes = 16;

/// Thread-safe. The key's schedule is made once per thread that is inside at the same time, and
/// wiped with the object.
class AesGcm {
 public:
  explicit AesGcm(const SecretKey& key);
  ~AesGcm();
  AesGcm(const AesGcm&) = delete;
  AesGcm& operator=(const AesGcm&) = delete;

  /// `sealed` has room for `plain` and the tag. A nonce is used once.
  void seal(const GcmNonce& nonce, std::span<const std::byte> bound,
            std::span<const std::byte> plain, std::span<std::byte> sealed) const;
  /// `plain` is as long as `sealed` without the tag. False when it is not authentic; then `plain`
  /// is wiped.
  bool open(const GcmNonce& nonce, std::span<const std::byte> bound,
            std::span<const std::byte> sealed, std::span<std::byte> plain) const;

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

}  // namespace hamal::repository
