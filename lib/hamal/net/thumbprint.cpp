#include "hamal/net/thumbprint.hpp"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <cctype>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

constexpr std::size_t k_sha1_digits = 40;
constexpr std::size_t k_sha256_digits = 64;

std::string digest_of(X509* certificate, std::size_t digits) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
  unsigned length = 0;
  const EVP_MD* const kind = digits == k_sha1_digits ? EVP_sha1() : EVP_sha256();
  if (certificate == nullptr || X509_digest(certificate, kind, bytes.data(), &length) != 1) {
    return {};
  }
  constexpr std::string_view k_hex = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < length; ++i) {
    text += k_hex[bytes[i] >> 4U];
    text += k_hex[bytes[i] & 15U];
  }
  return text;
}

int verify(X509_STORE_CTX* store, void* peer_pointer) {
  auto& peer = *static_cast<PeerCertificate*>(peer_pointer);
  peer.seen = digest_of(X509_STORE_CTX_get0_cert(store), peer.wanted.size());
  const bool same = !peer.seen.empty() && peer.seen == peer.wanted;
  X509_STORE_CTX_set_error(store, same ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
  return same ? 1 : 0;
}

}  // namespace

std::string parse_thumbprint(std::string_view text, const std::string& object) {
  std::string digits;
  bool odd = false;
  for (const char c : text) {
    if (std::isxdigit(static_cast<unsigned char>(c)) != 0) {
      digits += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else {
      odd = odd || c != ':';
    }
  }
  if (odd || (digits.size() != k_sha1_digits && digits.size() != k_sha256_digits)) {
    throw Error(ErrorKind::usage, "is no thumbprint of a certificate", object,
                "20 (SHA-1) or 32 (SHA-256) bytes in hexadecimal, as `openssl x509 -noout "
                "-fingerprint -in FILE` prints them");
  }
  return digits;
}

std::string show_thumbprint(const std::string& thumbprint) {
  std::string text;
  for (std::size_t i = 0; i < thumbprint.size(); ++i) {
    text += i > 0 && i % 2 == 0 ? ":" : "";
    text += static_cast<char>(std::toupper(static_cast<unsigned char>(thumbprint[i])));
  }
  return text;
}

void check_by_thumbprint(void* ssl_context, PeerCertificate& peer) {
  SSL_CTX_set_cert_verify_callback(static_cast<SSL_CTX*>(ssl_context), &verify, &peer);
}

}  // namespace hamal
