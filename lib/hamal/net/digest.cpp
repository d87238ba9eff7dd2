#include "hamal/net/digest.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

template <typename Digest>
Digest digest(std::span<const std::byte> bytes, const EVP_MD* kind, const char* name) {
  Digest result{};
  unsigned length = 0;
  // NOLINTNEXTLINE: bytes are what OpenSSL takes
  auto* const out = reinterpret_cast<unsigned char*>(result.data());
  if (EVP_Digest(bytes.data(), bytes.size(), out, &length, kind, nullptr) != 1 ||
      length != result.size()) {
    throw Error(ErrorKind::failed, std::string(name) + " cannot be computed", "OpenSSL");
  }
  return result;
}

const unsigned char* unsigned_bytes(const void* bytes) {
  return static_cast<const unsigned char*>(bytes);
}

}  // namespace

Sha256 sha256(std::span<const std::byte> bytes) {
  return digest<Sha256>(bytes, EVP_sha256(), "SHA-256");
}

Sha256 sha256(std::string_view text) {
  return sha256(std::as_bytes(std::span(text)));
}

Md5 md5(std::span<const std::byte> bytes) {
  return digest<Md5>(bytes, EVP_md5(), "MD5");
}

Sha256 hmac_sha256(std::span<const std::byte> key, std::string_view text) {
  Sha256 result{};
  unsigned length = 0;
  // NOLINTNEXTLINE: bytes are what OpenSSL takes
  auto* const out = reinterpret_cast<unsigned char*>(result.data());
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), unsigned_bytes(text.data()),
           text.size(), out, &length) == nullptr) {
    throw Error(ErrorKind::failed, "HMAC-SHA-256 cannot be computed", "OpenSSL");
  }
  return result;
}

std::string to_hex(std::span<const std::byte> bytes) {
  static const char* const k_hex = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    text += k_hex[std::to_integer<unsigned>(byte) >> 4U];
    text += k_hex[std::to_integer<unsigned>(byte) & 15U];
  }
  return text;
}

std::string to_base64(std::span<const std::byte> bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  // NOLINTNEXTLINE: bytes are what OpenSSL takes
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     unsigned_bytes(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

}  // namespace hamal
