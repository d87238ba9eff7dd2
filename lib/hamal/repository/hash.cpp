#include "hamal/repository/hash.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <new>
#include <stdexcept>

namespace hamal::repository {
namespace {

using Bytes = std::span<const std::byte>;

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

/// These calls fail for want of memory, or in a libcrypto without SHA-256.
void require(int result) {
  if (result != 1) {
    throw std::runtime_error("libcrypto cannot compute SHA-256");
  }
}

/// Looked up once: EVP_sha256() would be looked up again by every EVP_DigestInit.
const EVP_MD* algorithm() {
  static EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  require(md == nullptr ? 0 : 1);
  return md;
}

Context new_context() {
  Context context(EVP_MD_CTX_new());
  if (!context) {
    throw std::bad_alloc();
  }
  return context;
}

EVP_MD_CTX* scratch() {
  thread_local const Context context = new_context();
  return context.get();
}

void update(EVP_MD_CTX* context, Bytes bytes) {
  require(EVP_DigestUpdate(context, bytes.data(), bytes.size()));
}

Digest finish(EVP_MD_CTX* context) {
  Digest digest;
  require(EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(digest.data()), nullptr));
  return digest;
}

}  // namespace

Digest sha256(Bytes bytes) {
  EVP_MD_CTX* const context = scratch();
  require(EVP_DigestInit_ex2(context, algorithm(), nullptr));
  update(context, bytes);
  return finish(context);
}

struct Sha256::State {
  Context context = new_context();
};

Sha256::Sha256() : m_state(std::make_unique<State>()) {
  require(EVP_DigestInit_ex2(m_state->context.get(), algorithm(), nullptr));
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(Bytes bytes) {
  repository::update(m_state->context.get(), bytes);
}

Digest Sha256::finish() {
  const Digest digest = repository::finish(m_state->context.get());
  require(EVP_DigestInit_ex2(m_state->context.get(), algorithm(), nullptr));
  return digest;
}

// RFC 2104 over prepared contexts: EVP_MAC would hash the key's blocks again, or be copied with
// several allocations, for every record.
struct HmacSha256::State {
  Context inner = new_context();
  Context outer = new_context();
};

HmacSha256::HmacSha256(Bytes key) : m_state(std::make_unique<State>()) {
  constexpr std::size_t k_block = 64;
  constexpr std::byte k_inner{0x36};
  constexpr std::byte k_outer{0x5c};
  std::array<std::byte, k_block> block{};
  if (key.size() > k_block) {
    throw std::logic_error("keys of HMAC are at most a block here");
  }
  std::copy(key.begin(), key.end(), block.begin());
  const auto prepare = [&block](EVP_MD_CTX* context, std::byte pad) {
    for (std::byte& byte : block) {
      byte ^= pad;
    }
    require(EVP_DigestInit_ex2(context, algorithm(), nullptr));
    repository::update(context, block);
  };
  prepare(m_state->inner.get(), k_inner);
  prepare(m_state->outer.get(), k_inner ^ k_outer);
  OPENSSL_cleanse(block.data(), block.size());
}

HmacSha256::~HmacSha256() = default;

Digest HmacSha256::of(Bytes first, Bytes second) const {
  EVP_MD_CTX* const context = scratch();
  require(EVP_MD_CTX_copy_ex(context, m_state->inner.get()));
  repository::update(context, first);
  repository::update(context, second);
  const Digest inner = repository::finish(context);
  require(EVP_MD_CTX_copy_ex(context, m_state->outer.get()));
  repository::update(context, inner);
  return repository::finish(context);
}

}  // namespace hamal::repository
