#include "hamal/repository/key_pair.hpp"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "hamal/repository/aes_gcm.hpp"
#include "hamal/repository/hash.hpp"
#include "hamal/repository/hex.hpp"
#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

constexpr std::size_t k_point_bytes = 32;
using Point = std::array<std::byte, k_point_bytes>;
using Wrapped = std::array<std::byte, k_point_bytes + SecretKey::k_bytes + k_gcm_tag_bytes>;

template <auto Free>
struct FreeBy {
  template <typename Object>
  void operator()(Object* object) const noexcept {
    Free(object);
  }
};
using Pair = std::unique_ptr<EVP_PKEY, FreeBy<EVP_PKEY_free>>;
using PairContext = std::unique_ptr<EVP_PKEY_CTX, FreeBy<EVP_PKEY_CTX_free>>;
using Bio = std::unique_ptr<BIO, FreeBy<BIO_free>>;

void require(bool done) {
  if (!done) {
    throw std::runtime_error("libcrypto cannot do X25519");
  }
}

/// PEM may ask for a passphrase, and OpenSSL would ask the terminal.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*context*/) {
  return -1;
}

Bio memory(const std::string& text) {
  Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  require(bio != nullptr);
  return bio;
}

std::string text_of(const Bio& bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

void require_x25519(const Pair& pair, const std::string& what, const char* kind, const char* cure) {
  if (!pair || EVP_PKEY_get_base_id(pair.get()) != EVP_PKEY_X25519) {
    throw Error(ErrorKind::usage, std::string("this is no ") + kind + " X25519 key in PEM", what,
                cure);
  }
}

Point public_point(const EVP_PKEY* pair) {
  Point point{};
  std::size_t size = point.size();
  require(EVP_PKEY_get_raw_public_key(pair, reinterpret_cast<unsigned char*>(point.data()),
                                      &size) == 1 &&
          size == point.size());
  return point;
}

std::string fingerprint_of(const EVP_PKEY* pair) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(pair, &der);
  require(size > 0);
  const Digest digest = sha256(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
  OPENSSL_free(der);
  return to_hex(digest);
}

/// What both sides know and nobody else, for one wrapping: the point of the other is random or
/// checked by the seal.
SecretKey wrapping_key(EVP_PKEY* own, EVP_PKEY* other, const Point& ephemeral,
                       const Point& recipient, std::string_view purpose) {
  const PairContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, own, nullptr));
  require(context && EVP_PKEY_derive_init(context.get()) == 1);
  SecretKey shared;
  std::size_t size = SecretKey::k_bytes;
  // Fails for points of small order, with which every key is the same.
  if (EVP_PKEY_derive_set_peer(context.get(), other) != 1 ||
      EVP_PKEY_derive(context.get(), reinterpret_cast<unsigned char*>(shared.bytes().data()),
                      &size) != 1 ||
      size != SecretKey::k_bytes) {
    throw Error(ErrorKind::failed, "the wrapped key is damaged");
  }
  std::array<std::byte, 2 * k_point_bytes> salt{};
  std::copy(recipient.begin(), recipient.end(),
            std::copy(ephemeral.begin(), ephemeral.end(), salt.begin()));
  return derive_key(shared.bytes(), salt, "hamal wrapped key: " + std::string(purpose));
}

}  // namespace

struct PublicKey::State {
  Pair pair;
  Point point{};
  std::string pem;
  std::string fingerprint;
};

struct PrivateKey::State {
  Pair pair;
  Point point{};
  std::string fingerprint;
};

PublicKey::PublicKey() : m_state(std::make_unique<State>()) {}
PublicKey::~PublicKey() = default;
PublicKey::PublicKey(PublicKey&&) noexcept = default;
PublicKey& PublicKey::operator=(PublicKey&&) noexcept = default;
const std::string& PublicKey::fingerprint() const noexcept {
  return m_state->fingerprint;
}
const std::string& PublicKey::pem() const noexcept {
  return m_state->pem;
}

PublicKey PublicKey::parse(const std::string& pem, const std::string& what) {
  PublicKey key;
  State& state = *key.m_state;
  state.pair.reset(PEM_read_bio_PUBKEY(memory(pem).get(), nullptr, no_passphrase, nullptr));
  require_x25519(state.pair, what, "public",
                 "openssl pkey -in PRIVATE.pem -pubout makes one of a private key");
  state.point = public_point(state.pair.get());
  state.fingerprint = fingerprint_of(state.pair.get());
  const Bio text(BIO_new(BIO_s_mem()));
  require(text && PEM_write_bio_PUBKEY(text.get(), state.pair.get()) == 1);
  state.pem = text_of(text);
  return key;
}

std::string PublicKey::wrap(const SecretKey& key, std::string_view purpose) const {
  const Pair ephemeral(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"));
  require(ephemeral != nullptr);
  const Point point = public_point(ephemeral.get());
  const AesGcm cipher(
      wrapping_key(ephemeral.get(), m_state->pair.get(), point, m_state->point, purpose));
  Wrapped wrapped{};
  std::copy(point.begin(), point.end(), wrapped.begin());
  // The key is of this one wrapping: any nonce will do.
  cipher.seal(GcmNonce{}, {}, key.bytes(), std::span(wrapped).subspan(k_point_bytes));
  return hex_text(wrapped);
}

PrivateKey::PrivateKey() : m_state(std::make_unique<State>()) {}
PrivateKey::~PrivateKey() = default;
PrivateKey::PrivateKey(PrivateKey&&) noexcept = default;
PrivateKey& PrivateKey::operator=(PrivateKey&&) noexcept = default;
const std::string& PrivateKey::fingerprint() const noexcept {
  return m_state->fingerprint;
}

PrivateKey PrivateKey::parse(const std::string& pem, const std::string& what) {
  PrivateKey key;
  State& state = *key.m_state;
  state.pair.reset(PEM_read_bio_PrivateKey(memory(pem).get(), nullptr, no_passphrase, nullptr));
  require_x25519(state.pair, what, "private",
                 "openssl genpkey -algorithm X25519 makes one; it must not have a passphrase");
  state.point = public_point(state.pair.get());
  state.fingerprint = fingerprint_of(state.pair.get());
  return key;
}

KeyPairText generate_key_pair() {
  const Pair pair(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"));
  const Bio secret(BIO_new(BIO_s_secmem()));
  const Bio open(BIO_new(BIO_s_mem()));
  require(pair && secret && open &&
          PEM_write_bio_PrivateKey(secret.get(), pair.get(), nullptr, nullptr, 0, nullptr,
                                   nullptr) == 1 &&
          PEM_write_bio_PUBKEY(open.get(), pair.get()) == 1);
  return {text_of(secret), text_of(open)};
}

SecretKey PrivateKey::unwrap(std::string_view wrapped, std::string_view purpose,
                             const std::string& object) const {
  Wrapped bytes{};
  SecretKey key;
  try {
    if (parse_hex(wrapped, bytes)) {
      Point point{};
      std::copy_n(bytes.begin(), point.size(), point.begin());
      const Pair ephemeral(EVP_PKEY_new_raw_public_key_ex(
          nullptr, "X25519", nullptr, reinterpret_cast<const unsigned char*>(point.data()),
          point.size()));
      require(ephemeral != nullptr);
      const AesGcm cipher(
          wrapping_key(m_state->pair.get(), ephemeral.get(), point, m_state->point, purpose));
      if (cipher.open(GcmNonce{}, {}, std::span(bytes).subspan(k_point_bytes), key.bytes())) {
        return key;
      }
    }
  } catch (const Error&) {
    wipe(key.bytes());
  }
  throw Error(ErrorKind::failed, "a wrapped key cannot be opened by the private key", object,
              "the object is damaged, or the key was not wrapped to this recipient");
}

}  // namespace hamal::repository
