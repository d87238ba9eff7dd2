// The keyring of a repository without encryption: nothing is secret, everything is checked.
#include "hamal/repository/hash.hpp"
#include "hamal/repository/keyring.hpp"
#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

class PlainSealer : public RecordSealer {
 public:
  std::optional<KeyId> key_id() const override { return std::nullopt; }
  std::uint64_t seal(const RecordId& /*id*/, ByteView body, Bytes& to) override {
    to.insert(to.end(), body.begin(), body.end());
    return 0;
  }
};

class PlainKeyring : public Keyring {
 public:
  bool encrypted() const noexcept override { return false; }
  RecordId record_id(ByteView plain) const override { return sha256(plain); }

  Bytes seal_index(ByteView plain, std::string_view /*name*/) const override {
    return {plain.begin(), plain.end()};
  }
  Bytes open_index(ByteView sealed, std::string_view /*name*/) const override {
    return {sealed.begin(), sealed.end()};
  }

  Digest authenticate(std::string_view text, std::string_view name) const override {
    Sha256 digest;
    digest.update(bytes_of(name));
    digest.update(bytes_of(std::string_view("\0", 1)));
    digest.update(bytes_of(text));
    return digest.finish();
  }

  std::unique_ptr<RecordSealer> new_sealer(std::string& key_object) const override {
    key_object.clear();
    return std::make_unique<PlainSealer>();
  }
  bool can_read_records() const noexcept override { return true; }

  void open_record(const KeyId& key, std::uint64_t /*nonce*/, const RecordId& /*id*/,
                   ByteView /*sealed*/, Bytes& /*body*/,
                   const FetchKeyObject& /*key_object*/) const override {
    throw Error(ErrorKind::failed, "a record is sealed, and the repository is not encrypted",
                data_key_key(key), "the record is not of this repository");
  }
};

}  // namespace

std::unique_ptr<Keyring> make_plain_keyring() {
  return std::make_unique<PlainKeyring>();
}

}  // namespace hamal::repository
