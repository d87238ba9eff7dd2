// From the index key, which every writer has, come the keys that name records, seal indexes and
// authenticate texts. Records are sealed by a data key of the process that wrote them; it leaves
// the process only wrapped to the recipients, so what was written yesterday cannot be read with
// what a writer has today.
#include "hamal/repository/keyring_sealed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "hamal/repository/aes_gcm.hpp"
#include "hamal/repository/hash.hpp"
#include "hamal/repository/little_endian.hpp"
#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

GcmNonce counted_nonce(std::uint64_t counter) {
  GcmNonce nonce{};
  put_number(std::span(nonce).subspan(4), counter);
  return nonce;
}

class AesSealer : public RecordSealer {
 public:
  AesSealer(const KeyId& id, const SecretKey& key) : m_id(id), m_cipher(key) {}
  std::optional<KeyId> key_id() const override { return m_id; }

  std::uint64_t seal(const RecordId& id, ByteView body, Bytes& to) override {
    const std::uint64_t counter = m_counter++;
    to.resize(to.size() + body.size() + k_seal_tag_bytes);
    m_cipher.seal(counted_nonce(counter), id, body,
                  std::span(to).last(body.size() + k_seal_tag_bytes));
    return counter;
  }

 private:
  KeyId m_id;
  AesGcm m_cipher;
  std::atomic<std::uint64_t> m_counter = 0;
};

class SealedKeyring : public Keyring {
 public:
  SealedKeyring(const Description& description, Secrets secrets)
      : m_ids(derive(description, secrets, "hamal record ids").bytes()),
        m_authentication(derive(description, secrets, "hamal authentication").bytes()),
        m_indexes(derive(description, secrets, "hamal index objects")),
        m_private_key(std::move(secrets.private_key)) {
    for (const Recipient& recipient : description.recipients) {
      PublicKey key = PublicKey::parse(recipient.public_key, k_description_key);
      if (key.fingerprint() != recipient.fingerprint) {
        throw Error(ErrorKind::failed, "a recipient's fingerprint is not that of its public key",
                    k_description_key, "the object is damaged, or was tampered with");
      }
      m_recipients.push_back(std::move(key));
    }
  }

  bool encrypted() const noexcept override { return true; }
  RecordId record_id(ByteView plain) const override { return m_ids.of(plain); }

  Bytes seal_index(ByteView plain, std::string_view name) const override {
    GcmNonce nonce{};
    fill_random(nonce);
    Bytes sealed(nonce.size() + plain.size() + k_gcm_tag_bytes);
    std::copy(nonce.begin(), nonce.end(), sealed.begin());
    m_indexes.seal(nonce, bytes_of(name), plain, std::span(sealed).subspan(nonce.size()));
    return sealed;
  }

  Bytes open_index(ByteView sealed, std::string_view name) const override {
    GcmNonce nonce{};
    if (sealed.size() >= nonce.size() + k_gcm_tag_bytes) {
      std::copy_n(sealed.begin(), nonce.size(), nonce.begin());
      const ByteView body = sealed.subspan(nonce.size());
      Bytes plain(body.size() - k_gcm_tag_bytes);
      if (m_indexes.open(nonce, bytes_of(name), body, plain)) {
        return plain;
      }
    }
    throw Error(ErrorKind::failed, "is damaged, or does not belong there", std::string(name),
                "hamal-repo verify says what suffers");
  }

  Digest authenticate(std::string_view text, std::string_view name) const override {
    return m_authentication.of(bytes_of(std::string(name) + '\0'), bytes_of(text));
  }

  std::unique_ptr<RecordSealer> new_sealer(std::string& key_object) const override {
    const SecretKey key = SecretKey::random();
    DataKey wrapped;
    wrapped.id = random_session_id();
    for (const PublicKey& recipient : m_recipients) {
      wrapped.wrapped.push_back(
          {recipient.fingerprint(), recipient.wrap(key, data_key_purpose(wrapped.id))});
    }
    key_object = to_text(wrapped, *this);
    return std::make_unique<AesSealer>(wrapped.id, key);
  }

  bool can_read_records() const noexcept override { return m_private_key.has_value(); }

  void open_record(const KeyId& key, std::uint64_t nonce, const RecordId& id, ByteView sealed,
                   Bytes& body, const FetchKeyObject& key_object) const override {
    const std::shared_ptr<const AesGcm> cipher = data_cipher(key, key_object);
    body.resize(sealed.size() - std::min<std::size_t>(sealed.size(), k_seal_tag_bytes));
    if (!cipher->open(counted_nonce(nonce), id, sealed, body)) {
      throw Error(ErrorKind::failed,
                  fmt::format("record {} is not what was sealed", to_hex(id).substr(0, 16)),
                  data_key_key(key), "the pack is damaged, or was tampered with");
    }
  }

 private:
  static SecretKey derive(const Description& description, const Secrets& secrets,
                          std::string_view purpose) {
    return derive_key(secrets.index_key.bytes(), bytes_of(description.id), purpose);
  }

  std::shared_ptr<const AesGcm> data_cipher(const KeyId& id,
                                            const FetchKeyObject& key_object) const {
    {
      const std::shared_lock lock(m_mutex);
      if (const auto known = m_ciphers.find(id); known != m_ciphers.end()) {
        return known->second;
      }
    }
    if (!m_private_key) {
      throw Error(ErrorKind::usage, "records are sealed, and the private key is not here",
                  "[repository] private_key",
                  "read where the private key is, or name it there for as long as needed");
    }
    const DataKey wrapped = parse_data_key(key_object(id), id, *this);
    auto cipher = std::make_shared<const AesGcm>(unwrap_data_key(wrapped, *m_private_key));
    const std::unique_lock lock(m_mutex);
    return m_ciphers.emplace(id, std::move(cipher)).first->second;
  }

  HmacSha256 m_ids;
  HmacSha256 m_authentication;
  AesGcm m_indexes;
  std::vector<PublicKey> m_recipients;
  std::optional<PrivateKey> m_private_key;
  mutable std::shared_mutex m_mutex;
  mutable std::map<KeyId, std::shared_ptr<const AesGcm>> m_ciphers;
};

}  // namespace

std::unique_ptr<Keyring> make_sealed_keyring(const Description& description, Secrets secrets) {
  return std::make_unique<SealedKeyring>(description, std::move(secrets));
}

SecretKey unwrap_data_key(const DataKey& key, const PrivateKey& private_key) {
  for (const WrappedKey& one : key.wrapped) {
    if (one.recipient == private_key.fingerprint()) {
      return private_key.unwrap(one.key, data_key_purpose(key.id), data_key_key(key.id));
    }
  }
  // Nothing is damaged, and nothing else that it sealed can be read either: no error of a range.
  throw Error(ErrorKind::usage,
              "the data key is not wrapped to recipient " +
                  private_key.fingerprint().substr(0, 16) + ", whose private key is configured",
              data_key_key(key.id),
              "hamal-repo key rewrap, run where an older recipient's private key is, wraps it");
}

std::unique_ptr<Keyring> make_keyring(const Description& description,
                                      const RepositorySection& config) {
  if (!description.encrypted) {
    refuse_secrets(description, config);
    return make_plain_keyring();
  }
  return make_sealed_keyring(description, find_secrets(description, config));
}

}  // namespace hamal::repository
