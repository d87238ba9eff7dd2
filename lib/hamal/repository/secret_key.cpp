#include "hamal/repository/secret_key.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <stdexcept>

#include "hamal/repository/hash.hpp"

namespace hamal::repository {

void wipe(std::span<std::byte> bytes) noexcept {
  OPENSSL_cleanse(bytes.data(), bytes.size());
}

void wipe(std::string& text) noexcept {
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

void fill_random(std::span<std::byte> bytes) {
  if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(bytes.data()),
                      static_cast<int>(bytes.size())) != 1) {
    throw std::runtime_error("libcrypto has no random bytes");
  }
}

SecretKey SecretKey::random() {
  SecretKey key;
  fill_random(key.bytes());
  return key;
}

SecretKey derive_key(std::span<const std::byte> secret, std::span<const std::byte> salt,
                     std::string_view purpose) {
  constexpr std::byte k_first{1};
  Digest extracted = HmacSha256(salt).of(secret);
  Digest expanded = HmacSha256(extracted).of(bytes_of(purpose), {&k_first, 1});
  SecretKey key;
  std::copy(expanded.begin(), expanded.end(), key.bytes().begin());
  wipe(extracted);
  wipe(expanded);
  return key;
}

}  // namespace hamal::repository
