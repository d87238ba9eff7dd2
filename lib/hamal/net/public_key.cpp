#include "hamal/net/public_key.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "hamal/net/digest.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

struct FreeBio {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
struct FreeKey {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};
struct FreeDer {
  void operator()(unsigned char* der) const noexcept { OPENSSL_free(der); }
};

[[noreturn]] void refuse(const std::string& pem, const std::string& object) {
  ERR_clear_error();
  const bool certificate = pem.find("BEGIN CERTIFICATE") != std::string::npos;
  throw Error(ErrorKind::usage,
              certificate ? "is a certificate, not a public key" : "is no public key in PEM",
              object,
              certificate ? "`openssl x509 -pubkey -noout -in FILE` prints the key of one"
                          : "it begins with -----BEGIN PUBLIC KEY-----");
}

}  // namespace

std::string public_key_pin(const std::string& pem, const std::string& object) {
  const std::unique_ptr<BIO, FreeBio> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!bio) {
    throw std::bad_alloc();
  }
  const std::unique_ptr<EVP_PKEY, FreeKey> key(
      PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (!key) {
    refuse(pem, object);
  }
  unsigned char* bytes = nullptr;
  const int length = i2d_PUBKEY(key.get(), &bytes);
  const std::unique_ptr<unsigned char, FreeDer> der(bytes);
  if (length <= 0) {
    refuse(pem, object);
  }
  const auto digest = sha256(std::as_bytes(std::span(der.get(), static_cast<std::size_t>(length))));
  return "sha256//" + to_base64(digest);
}

}  // namespace hamal
