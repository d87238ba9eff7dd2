// A key of 32 bytes that is wiped when it is not needed any more, and what is derived from one.
// Private to this folder.
#pragma once
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace hamal::repository {

/// Overwrites what was secret, whatever the compiler thinks of it.
void wipe(std::span<std::byte> bytes) noexcept;
void wipe(std::string& text) noexcept;

class SecretKey {
 public:
  static constexpr std::size_t k_bytes = 32;

  SecretKey() = default;
  ~SecretKey() { wipe(m_bytes); }
  SecretKey(const SecretKey&) = default;
  SecretKey& operator=(const SecretKey&) = default;

  static SecretKey random();
  std::span<const std::byte> bytes() const noexcept { return m_bytes; }
  std::span<std::byte> bytes() noexcept { return m_bytes; }

 private:
  std::array<std::byte, k_bytes> m_bytes{};
};

/// Random bytes that no one can foresee.
void fill_random(std::span<std::byte> bytes);

/// HKDF-SHA-256 (RFC 5869), 32 bytes of it. `salt` has at most 64 bytes.
SecretKey derive_key(std::span<const std::byte> secret, std::span<const std::byte> salt,
                     std::string_view purpose);

}  // namespace hamal::repository
