#include "hamal/repository/recipients.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "hamal/repository/hash.hpp"
#include "hamal/repository/key_pair.hpp"
#include "hamal/repository/new_keys.hpp"
#include "hamal/store/directory_store.hpp"
#include "hamal/util/file.hpp"
#include "repository/bytes.hpp"
#include "repository/encrypted.hpp"

namespace hamal::repository {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class Recipients : public testing::Test {
 protected:
  Recipients() {
    std::string pattern = fs::temp_directory_path() / "hamal-recipients-XXXXXX";
    m_directory = ::mkdtemp(pattern.data());
    m_store = open();
  }
  ~Recipients() override { fs::remove_all(m_directory); }

  std::unique_ptr<ObjectStore> open() {
    return open_directory_store("dir:" + m_directory.string(), m_directory / "store", m_cancel);
  }

  void init() {
    const Description description = encrypted_description();
    m_store->put(k_description_key,
                 bytes_of(to_text(description, *make_keyring(description, proxy_keys()))));
  }

  /// As open_repository() does.
  std::unique_ptr<Keyring> open_with(const RepositorySection& keys) {
    const std::string text = m_store->get(k_description_key, 1U << 20);
    auto keyring = make_keyring(parse_description(text, "o"), keys);
    check_description(text, *keyring, "o");
    return keyring;
  }

  std::string usage_error(const RepositorySection& keys) {
    try {
      open_with(keys);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "opened";
  }

  /// Seals a record in a process of its own, and puts its key.
  void write(const Keyring& proxy) {
    std::string key_object;
    const auto sealer = proxy.new_sealer(key_object);
    m_key = sealer->key_id().value();
    m_store->put(data_key_key(m_key), bytes_of(key_object));
    m_id = proxy.record_id(m_plain);
    m_sealed.clear();
    m_nonce = sealer->seal(m_id, m_plain, m_sealed);
  }

  bool can_read(const TestPair& pair) {
    try {
      Bytes opened;
      open_with(reader_keys(pair))
          ->open_record(m_key, m_nonce, m_id, m_sealed, opened,
                        [&](const KeyId& id) { return m_store->get(data_key_key(id), 1U << 20); });
      return opened == m_plain;
    } catch (const Error&) {
      return false;
    }
  }

  CancelToken m_cancel;
  fs::path m_directory;
  std::unique_ptr<ObjectStore> m_store;
  Bytes m_plain = random_bytes(5000);
  KeyId m_key{};
  RecordId m_id{};
  Bytes m_sealed;
  std::uint64_t m_nonce = 0;
};

TEST_F(Recipients, OpenARepositoryThatWasMadeForThem) {
  init();
  const auto proxy = open_with(proxy_keys());
  EXPECT_TRUE(proxy->encrypted());
  EXPECT_FALSE(proxy->can_read_records());
  EXPECT_TRUE(open_with(reader_keys())->can_read_records());
  write(*proxy);
  EXPECT_TRUE(can_read(k_alice));
  EXPECT_TRUE(can_read(k_bob));
  EXPECT_FALSE(can_read(k_carol));
}

TEST_F(Recipients, AreToldWhatIsWrongBeforeAnythingIsWritten) {
  RepositorySection wrong = proxy_keys();
  wrong.index_key = plain_secret(k_alice.private_key);
  EXPECT_THROW(describe_encrypted(k_encrypted_id, {k_alice.public_key}, wrong), Error);
  EXPECT_THROW(describe_encrypted(k_encrypted_id, {k_alice.public_key}, {}), Error);
  EXPECT_THROW(describe_encrypted(k_encrypted_id, {}, proxy_keys()), Error);
  EXPECT_THROW(
      describe_encrypted(k_encrypted_id, {k_alice.public_key, k_alice.public_key}, proxy_keys()),
      Error);
  init();
  EXPECT_THAT(usage_error({}), HasSubstr("is encrypted, and its index key is not here"));
  const std::string other(64, 'a');
  wrong.index_key = plain_secret(other.c_str());
  EXPECT_THAT(usage_error(wrong), HasSubstr("the index key is not that of repository"));
  EXPECT_THAT(usage_error(wrong), Not(HasSubstr(other)));
  wrong.private_key = plain_secret(k_alice.private_key);
  EXPECT_THAT(usage_error(wrong), HasSubstr("the index key is not that of repository"));
  wrong.index_key = plain_secret("0001");
  EXPECT_THAT(usage_error(wrong), HasSubstr("64 hexadecimal digits"));
  EXPECT_THAT(usage_error(reader_keys(k_carol)), HasSubstr("of no recipient"));
}

TEST_F(Recipients, ArePartOfADescriptionThatOnlyTheIndexKeyCanChange) {
  init();
  const std::string text = m_store->get(k_description_key, 1U << 20);
  EXPECT_THAT(text, Not(HasSubstr(k_index_key)));
  // Who can write to the store adds himself.
  const auto forger = describe_encrypted(
      k_encrypted_id, {k_alice.public_key, k_bob.public_key, k_carol.public_key}, proxy_keys());
  Description forged = parse_description(text, "o");
  forged.recipients.push_back(forger.recipients[2]);
  m_store->put(k_description_key, bytes_of(to_text(forged, *make_plain_keyring())));
  EXPECT_THROW(open_with(proxy_keys()), Error);
  EXPECT_THROW(RecipientChange(*m_store, reader_keys()), Error);
  // Or says that nothing is encrypted.
  const Description plain{forged.id, false, {}, {}};
  m_store->put(k_description_key, bytes_of(to_text(plain, *make_plain_keyring())));
  EXPECT_THAT(usage_error(proxy_keys()), HasSubstr("is not encrypted, and an index key"));
  m_store->put(k_description_key, bytes_of(text));
  EXPECT_NO_THROW(open_with(proxy_keys()));
  for (std::size_t at = 0; at < text.size(); at += 11) {
    std::string damaged = text;
    damaged[at] ^= 1;
    m_store->put(k_description_key, bytes_of(damaged));
    EXPECT_THROW(open_with(proxy_keys()), Error) << at;
  }
}

TEST_F(Recipients, CanBeAddedByOneWhoReads) {
  init();
  const auto proxy = open_with(proxy_keys());
  write(*proxy);
  EXPECT_THROW(RecipientChange(*m_store, proxy_keys()), Error);
  RecipientChange change(*m_store, reader_keys());
  change.add(k_carol.public_key);
  EXPECT_EQ(change.apply(), 1U);
  EXPECT_EQ(change.apply(), 0U);
  EXPECT_EQ(change.description().recipients.size(), 3U);
  EXPECT_TRUE(can_read(k_alice));
  EXPECT_TRUE(can_read(k_bob));
  EXPECT_TRUE(can_read(k_carol));
  // A process that opened it before still knows the old ones: then once more.
  write(*proxy);
  EXPECT_FALSE(can_read(k_carol));
  RecipientChange again(*m_store, reader_keys());
  again.add(k_carol.public_key);
  EXPECT_EQ(again.apply(), 1U);
  EXPECT_TRUE(can_read(k_carol));
  write(*open_with(proxy_keys()));
  EXPECT_TRUE(can_read(k_carol));
}

TEST_F(Recipients, CanBeReplaced) {
  init();
  write(*open_with(proxy_keys()));
  RecipientChange change(*m_store, reader_keys());
  const std::string alice = change.description().recipients[0].fingerprint;
  const std::string bob = change.description().recipients[1].fingerprint;
  change.add(k_carol.public_key);
  change.remove(alice);
  change.apply();
  EXPECT_FALSE(can_read(k_alice));
  EXPECT_TRUE(can_read(k_bob));
  EXPECT_TRUE(can_read(k_carol));
  write(*open_with(proxy_keys()));
  EXPECT_FALSE(can_read(k_alice));
  EXPECT_TRUE(can_read(k_carol));
  RecipientChange more(*m_store, reader_keys(k_carol));
  EXPECT_THROW(more.remove(alice), Error);
  more.remove(bob);
  EXPECT_THROW(more.remove(more.description().recipients[0].fingerprint), Error);
}

TEST_F(Recipients, AreNamedByTheBeginningOfTheirFingerprint) {
  init();
  const RecipientChange change(*m_store, reader_keys());
  const std::string alice = change.description().recipients[0].fingerprint;
  EXPECT_EQ(change.find(alice), alice);
  EXPECT_EQ(change.find(alice.substr(0, 8)), alice);
  EXPECT_THROW(change.find(alice.substr(0, 7)), Error);
  EXPECT_THROW(change.find(alice + "0"), Error);
  EXPECT_THROW(change.find("01234567"), Error);
}

TEST_F(Recipients, AreListedWithTheKeysThatAreNotWrappedToThem) {
  init();
  const auto proxy = open_with(proxy_keys());
  write(*proxy);
  RecipientChange change(*m_store, reader_keys());
  EXPECT_EQ(change.outdated(), 0U);
  change.add(k_carol.public_key);
  EXPECT_EQ(change.outdated(), 1U);
  change.apply();
  EXPECT_EQ(change.outdated(), 0U);
  write(*proxy);  // which knows nothing of carol
  const RecipientList list = list_recipients(*m_store, proxy_keys());
  EXPECT_EQ(list.description.recipients.size(), 3U);
  EXPECT_EQ(list.data_keys, 2U);
  EXPECT_EQ(list.outdated, 1U);
  EXPECT_EQ(list.unchecked, "");
}

TEST_F(Recipients, AreListedForWhoHasNoKeyButUnchecked) {
  init();
  write(*open_with(proxy_keys()));
  const RecipientList list = list_recipients(*m_store, {});
  EXPECT_EQ(list.description.recipients.size(), 2U);
  EXPECT_THAT(list.unchecked, HasSubstr("its index key is not here"));
  EXPECT_EQ(list.data_keys, 0U);
  EXPECT_THAT(list_recipients(*m_store, reader_keys(k_carol)).unchecked,
              HasSubstr("of no recipient"));
  // Who has one is not told what is forged.
  Description forged = list.description;
  forged.recipients.pop_back();
  m_store->put(k_description_key, bytes_of(to_text(forged, *make_plain_keyring())));
  EXPECT_THROW(list_recipients(*m_store, proxy_keys()), Error);
}

TEST_F(Recipients, MakeTheirKeysOnce) {
  const fs::path secret = m_directory / "new";
  const fs::path published = m_directory / "new.pub";
  const std::string name = write_key_pair(secret, published);
  EXPECT_EQ(PrivateKey::parse(read_file(secret), "t").fingerprint(), name);
  EXPECT_EQ(PublicKey::parse(read_file(published), "t").fingerprint(), name);
  EXPECT_EQ(fs::status(secret).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  const std::string before = read_file(secret);
  EXPECT_THROW(write_key_pair(secret, m_directory / "other.pub"), Error);
  EXPECT_THROW(write_key_pair(m_directory / "other", published), Error);
  EXPECT_FALSE(fs::exists(m_directory / "other"));
  EXPECT_EQ(read_file(secret), before);
  EXPECT_NE(write_key_pair(m_directory / "second", m_directory / "second.pub"), name);

  const fs::path index = m_directory / "index";
  write_index_key(index);
  RepositorySection section;
  section.index_key = {SecretReference::Kind::file, index};
  EXPECT_NO_THROW(describe_encrypted(k_encrypted_id, {read_file(published)}, section));
  EXPECT_THROW(write_index_key(index), Error);
}

TEST_F(Recipients, OfAChangeThatWasStoppedCanFinishIt) {
  init();
  write(*open_with(proxy_keys()));
  // Stopped after the description of both was put, before any key was.
  RecipientChange change(*m_store, reader_keys());
  change.add(k_carol.public_key);
  const std::string key_object = m_store->get(data_key_key(m_key), 1U << 20);
  change.apply();
  m_store->put(data_key_key(m_key), bytes_of(key_object));
  EXPECT_FALSE(can_read(k_carol));
  EXPECT_EQ(RecipientChange(*m_store, reader_keys()).apply(), 1U);
  EXPECT_TRUE(can_read(k_carol));
}

TEST_F(Recipients, HaveAFilePerRepositoryInADirectory) {
  init();
  const fs::path keys = m_directory / "keys";
  fs::create_directories(keys);
  RepositorySection section;
  section.index_key = {SecretReference::Kind::file, keys};
  EXPECT_THAT(usage_error(section), HasSubstr("its index key is not here"));
  write_file_atomically(keys / k_encrypted_id, k_index_key);
  EXPECT_TRUE(open_with(section)->encrypted());
  // One that is not encrypted is no mistake then.
  const Description plain{"00112233445566778899aabbccddeeff", false, {}, {}};
  m_store->put(k_description_key, bytes_of(to_text(plain, *make_plain_keyring())));
  EXPECT_FALSE(open_with(section)->encrypted());
}

}  // namespace
}  // namespace hamal::repository
