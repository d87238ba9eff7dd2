// A keyring whose seal only shows what it was bound to.
#pragma once
#include <algorithm>
#include <memory>
#include <string>

#include "hamal/repository/hash.hpp"
#include "hamal/repository/keyring.hpp"
#include "hamal/util/error.hpp"

namespace hamal::repository {

/// Puts the digest of the name before the bytes, and wants to find it there.
class NamingKeyring final : public Keyring {
 public:
  bool encrypted() const noexcept override { return false; }
  RecordId record_id(ByteView plain) const override { return m_plain->record_id(plain); }
  Bytes seal_index(ByteView plain, std::string_view name) const override {
    const Digest seal = sha256(bytes_of(name));
    Bytes sealed(seal.begin(), seal.end());
    sealed.insert(sealed.end(), plain.begin(), plain.end());
    return sealed;
  }
  Bytes open_index(ByteView sealed, std::string_view name) const override {
    const Digest seal = sha256(bytes_of(name));
    if (sealed.size() < seal.size() || !std::ranges::equal(sealed.first(seal.size()), seal)) {
      throw Error(ErrorKind::failed, "does not authenticate", std::string(name));
    }
    const ByteView plain = sealed.subspan(seal.size());
    return {plain.begin(), plain.end()};
  }
  Digest authenticate(std::string_view text, std::string_view name) const override {
    return m_plain->authenticate(text, name);
  }
  std::unique_ptr<RecordSealer> new_sealer(std::string& key_object) const override {
    return m_plain->new_sealer(key_object);
  }
  bool can_read_records() const noexcept override { return true; }
  void open_record(const KeyId& key, std::uint64_t nonce, const RecordId& id, ByteView sealed,
                   Bytes& body, const FetchKeyObject& key_object) const override {
    m_plain->open_record(key, nonce, id, sealed, body, key_object);
  }

 private:
  std::unique_ptr<Keyring> m_plain = make_plain_keyring();
};

}  // namespace hamal::repository
