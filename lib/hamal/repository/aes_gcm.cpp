#include "hamal/repository/aes_gcm.hpp"

#include <openssl/evp.h>

#include <mutex>
#include <new>
#include <stdexcept>
#include <vector>

namespace hamal::repository {
namespace {

using View = std::span<const std::byte>;

enum class Direction : int { open = 0, seal = 1 };

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

void require(int result) {
  if (result != 1) {
    throw std::runtime_error("libcrypto cannot do AES-256-GCM");
  }
}

const unsigned char* in(View bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

unsigned char* out(std::span<std::byte> bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

const EVP_CIPHER* algorithm() {
  static EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  require(cipher == nullptr ? 0 : 1);
  return cipher;
}

void update(EVP_CIPHER_CTX* context, unsigned char* to, View from) {
  int length = 0;
  require(EVP_CipherUpdate(context, to, &length, in(from), static_cast<int>(from.size())));
}

}  // namespace

struct AesGcm::State {
  SecretKey key;
  std::mutex mutex;
  std::vector<Context> idle;  // with the key's schedule

  Context take() {
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        Context context = std::move(idle.back());
        idle.pop_back();
        return context;
      }
    }
    Context context(EVP_CIPHER_CTX_new());
    if (!context) {
      throw std::bad_alloc();
    }
    require(EVP_CipherInit_ex2(context.get(), algorithm(), in(key.bytes()), nullptr, 1, nullptr));
    return context;
  }

  void give_back(Context context) {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(context));
  }
};

AesGcm::AesGcm(const SecretKey& key) : m_state(new State{key, {}, {}}) {}
AesGcm::~AesGcm() = default;

namespace {

void begin(EVP_CIPHER_CTX* context, Direction direction, const GcmNonce& nonce, View bound) {
  require(EVP_CipherInit_ex2(context, nullptr, nullptr, in(nonce), static_cast<int>(direction),
                             nullptr));
  update(context, nullptr, bound);
}

}  // namespace

void AesGcm::seal(const GcmNonce& nonce, View bound, View plain,
                  std::span<std::byte> sealed) const {
  Context context = m_state->take();
  begin(context.get(), Direction::seal, nonce, bound);
  update(context.get(), out(sealed), plain);
  int length = 0;
  const std::span<std::byte> tag = sealed.subspan(plain.size());
  require(EVP_CipherFinal_ex(context.get(), out(tag), &length));
  require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, k_gcm_tag_bytes, out(tag)));
  m_state->give_back(std::move(context));
}

bool AesGcm::open(const GcmNonce& nonce, View bound, View sealed,
                  std::span<std::byte> plain) const {
  if (sealed.size() < k_gcm_tag_bytes || plain.size() != sealed.size() - k_gcm_tag_bytes) {
    return false;
  }
  Context context = m_state->take();
  begin(context.get(), Direction::open, nonce, bound);
  update(context.get(), out(plain), sealed.first(plain.size()));
  std::array<std::byte, k_gcm_tag_bytes> tag{};
  std::copy(sealed.end() - k_gcm_tag_bytes, sealed.end(), tag.begin());
  require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, k_gcm_tag_bytes, out(tag)));
  int length = 0;
  std::array<std::byte, k_gcm_tag_bytes> rest{};
  const bool authentic = EVP_CipherFinal_ex(context.get(), out(rest), &length) == 1;
  if (!authentic) {
    wipe(plain);
  }
  m_state->give_back(std::move(context));
  return authentic;
}

}  // namespace hamal::repository
