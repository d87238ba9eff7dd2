#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "hamal/repository/data_key.hpp"
#include "hamal/repository/hash.hpp"
#include "hamal/repository/hex.hpp"
#include "hamal/repository/key_pair.hpp"
#include "hamal/repository/pack.hpp"
#include "hamal/util/error.hpp"
#include "repository/bytes.hpp"
#include "repository/encrypted.hpp"

namespace hamal::repository {
namespace {

class SealedKeyring : public testing::Test {
 protected:
  /// One pack of a process that has the proxy's keys.
  Bytes write_pack(const std::vector<Bytes>& records) {
    std::string key_object;
    const auto sealer = m_proxy->new_sealer(key_object);
    m_key_objects[sealer->key_id().value()] = key_object;
    RecordEncoder encoder(*sealer);
    PackBuilder builder({sealer->key_id().value()});
    for (const Bytes& plain : records) {
      encoder.encode(m_proxy->record_id(plain), plain, builder.buffer());
      builder.added();
    }
    return builder.finish();
  }

  std::vector<Bytes> read_pack(const Keyring& keyring, const Bytes& pack) {
    std::vector<Bytes> records;
    RecordDecoder decoder(keyring, [this](const KeyId& id) {
      ++m_fetched;
      return m_key_objects.at(id);
    });
    const std::vector<KeyId> keys = parse_pack_header(pack, "p");
    scan_pack(pack, "p", [&](std::uint64_t, const RecordHeader& header, ByteView stored) {
      Bytes plain(header.plain_length);
      decoder.decode(stored, header.id, keys, "p", plain);
      records.push_back(plain);
    });
    return records;
  }

  Description m_description = encrypted_description();
  std::unique_ptr<Keyring> m_proxy = make_keyring(m_description, proxy_keys());
  std::unique_ptr<Keyring> m_reader = make_keyring(m_description, reader_keys());
  std::vector<Bytes> m_records{random_bytes(65536), compressible_bytes(65536), random_bytes(1)};
  std::map<KeyId, std::string> m_key_objects;
  int m_fetched = 0;
};

TEST_F(SealedKeyring, IsReadByEveryRecipientWithThePrivateKeyAlone) {
  const Bytes pack = write_pack(m_records);
  EXPECT_EQ(read_pack(*m_reader, pack), m_records);
  EXPECT_EQ(m_fetched, 1) << "a key is asked for once";
  EXPECT_EQ(read_pack(*make_keyring(m_description, reader_keys(k_bob)), pack), m_records);
  EXPECT_TRUE(m_reader->can_read_records());
}

TEST_F(SealedKeyring, WithoutThePrivateKeyReadsNothing) {
  // What a thief of a proxy has: the index key, the store, and a keyring that wrote a moment ago.
  const Bytes pack = write_pack(m_records);
  EXPECT_FALSE(m_proxy->can_read_records());
  for (const bool again : {false, true}) {
    const auto keyring = again ? make_keyring(m_description, proxy_keys()) : std::move(m_proxy);
    RecordDecoder decoder(*keyring, [this](const KeyId& id) { return m_key_objects.at(id); });
    const std::vector<KeyId> keys = parse_pack_header(pack, "p");
    int records = 0;
    scan_pack(pack, "p", [&](std::uint64_t, const RecordHeader& header, ByteView stored) {
      Bytes plain(header.plain_length);
      EXPECT_THROW(decoder.decode(stored, header.id, keys, "p", plain), Error);
      EXPECT_EQ(plain, Bytes(header.plain_length)) << "not a byte";
      ++records;
    });
    EXPECT_EQ(records, 3);
  }
  // Neither is any of it there to be seen: of the random record no 16 bytes in a row.
  const std::string text(reinterpret_cast<const char*>(pack.data()), pack.size());
  const Bytes& secret = m_records.front();
  for (std::size_t at = 0; at + 16 <= secret.size(); at += 16) {
    ASSERT_EQ(text.find(std::string(reinterpret_cast<const char*>(&secret[at]), 16)),
              std::string::npos);
  }
  EXPECT_EQ(text.find("the same again"), std::string::npos);
  // The data key's object has nothing but what is wrapped.
  EXPECT_EQ(m_key_objects.begin()->second.find(k_index_key), std::string::npos);
}

TEST_F(SealedKeyring, OfAnotherProcessHasAnotherKeyAndEveryRecordANonce) {
  std::string first_object;
  std::string second_object;
  const auto first = m_proxy->new_sealer(first_object);
  const auto second = m_proxy->new_sealer(second_object);
  EXPECT_NE(first->key_id(), second->key_id());
  EXPECT_NE(first_object, second_object);
  const RecordId id = m_proxy->record_id(m_records[0]);
  Bytes a;
  Bytes b;
  EXPECT_EQ(first->seal(id, m_records[0], a), 0U);
  EXPECT_EQ(first->seal(id, m_records[0], b), 1U);
  EXPECT_NE(a, b);
  EXPECT_EQ(a.size(), m_records[0].size() + k_seal_tag_bytes);
}

TEST_F(SealedKeyring, NeverUsesANonceTwiceNorMixesThreadsUp) {
  std::string key_object;
  const auto sealer = m_proxy->new_sealer(key_object);
  constexpr unsigned k_threads = 4;
  constexpr unsigned k_each = 200;
  std::vector<std::vector<std::uint64_t>> nonces(k_threads);
  {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < k_threads; ++t) {
      threads.emplace_back([&, t] {
        const Bytes plain = random_bytes(500, t);
        const RecordId id = m_proxy->record_id(plain);
        for (unsigned i = 0; i < k_each; ++i) {
          Bytes sealed;
          nonces[t].push_back(sealer->seal(id, plain, sealed));
          Bytes opened;
          m_reader->open_record(sealer->key_id().value(), nonces[t].back(), id, sealed, opened,
                                [&](const KeyId&) { return key_object; });
          EXPECT_EQ(opened, plain);
        }
      });
    }
  }
  std::set<std::uint64_t> all;
  for (const auto& some : nonces) {
    all.insert(some.begin(), some.end());
  }
  EXPECT_EQ(all.size(), k_threads * k_each);
}

TEST_F(SealedKeyring, NamesRecordsUnderTheIndexKey) {
  EXPECT_NE(m_proxy->record_id(m_records[0]), sha256(m_records[0]));
  EXPECT_EQ(m_proxy->record_id(m_records[0]), m_reader->record_id(m_records[0]));
  Description other =
      describe_encrypted("00112233445566778899aabbccddeeff", {k_alice.public_key}, proxy_keys());
  EXPECT_NE(make_keyring(other, proxy_keys())->record_id(m_records[0]),
            m_proxy->record_id(m_records[0]))
      << "the same key in another repository";
}

TEST_F(SealedKeyring, SealsIndexObjectsUnderTheirNames) {
  for (const Bytes& plain : {to_bytes("an index"), Bytes()}) {
    const Bytes sealed = m_proxy->seal_index(plain, "layers/a");
    EXPECT_NE(m_proxy->seal_index(plain, "layers/a"), sealed);
    EXPECT_EQ(m_proxy->open_index(sealed, "layers/a"), plain);
    EXPECT_EQ(m_reader->open_index(sealed, "layers/a"), plain);
    EXPECT_THROW(m_proxy->open_index(sealed, "layers/b"), Error);
    for (std::size_t at = 0; at < sealed.size(); ++at) {
      EXPECT_THROW(m_proxy->open_index(flipped(sealed, at, at % 8), "layers/a"), Error);
      EXPECT_THROW(m_proxy->open_index(ByteView(sealed).first(at), "layers/a"), Error);
    }
  }
}

TEST_F(SealedKeyring, AuthenticatesUnderTheIndexKey) {
  const Digest digest = m_proxy->authenticate("text", "name");
  EXPECT_EQ(m_reader->authenticate("text", "name"), digest);
  EXPECT_NE(make_plain_keyring()->authenticate("text", "name"), digest);
  EXPECT_NE(m_proxy->authenticate("text", "nam"), digest);
  EXPECT_NE(m_proxy->authenticate("etext", "nam"), digest);
}

TEST_F(SealedKeyring, DoesNotTakeAPlainRecordForASealedOne) {
  std::string key_object;
  const auto plain_keyring = make_plain_keyring();
  const auto sealer = plain_keyring->new_sealer(key_object);
  Bytes stored;
  const RecordId id = m_proxy->record_id(m_records[0]);
  RecordEncoder(*sealer).encode(id, m_records[0], stored);
  Bytes plain(m_records[0].size());
  EXPECT_THROW(RecordDecoder(*m_reader, nullptr).decode(stored, id, {}, "p", plain), Error);
}

TEST_F(SealedKeyring, FindsEveryFlippedBitOfASealedRecord) {
  const Bytes plain = random_bytes(100);
  std::string key_object;
  const auto sealer = m_proxy->new_sealer(key_object);
  const std::vector<KeyId> keys{sealer->key_id().value()};
  Bytes stored;
  const RecordId id = m_proxy->record_id(plain);
  RecordEncoder(*sealer).encode(id, plain, stored);
  RecordDecoder decoder(*m_reader, [&](const KeyId&) { return key_object; });
  Bytes read(plain.size());
  for (std::size_t at = 0; at < stored.size(); ++at) {
    EXPECT_THROW(decoder.decode(flipped(stored, at, at % 8), id, keys, "p", read), Error) << at;
  }
  EXPECT_THROW(decoder.decode(stored, id, {}, "p", read), Error);
  decoder.decode(stored, id, keys, "p", read);
  EXPECT_EQ(read, plain);
}

TEST_F(SealedKeyring, SaysWhichDataKeyIsNotWrappedToTheReaderAndWhatHelps) {
  const Bytes pack = write_pack({m_records[2]});
  const Description later =
      describe_encrypted(k_encrypted_id, {k_alice.public_key, k_carol.public_key}, proxy_keys());
  const auto carol = make_keyring(later, reader_keys(k_carol));
  try {
    read_pack(*carol, pack);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << "not as damage of what it sealed";
    EXPECT_EQ(error.object(), data_key_key(m_key_objects.begin()->first));
    const std::string name =
        PublicKey::parse(k_carol.public_key, "carol").fingerprint().substr(0, 16);
    EXPECT_NE(error.problem().find("not wrapped to recipient " + name), std::string::npos);
    EXPECT_NE(error.hint().find("hamal-repo key rewrap"), std::string::npos);
  }
}

TEST_F(SealedKeyring, DoesNotTakeADataKeyThatWasTamperedWith) {
  const Bytes pack = write_pack({m_records[2]});
  const auto [id, text] = *m_key_objects.begin();
  EXPECT_EQ(to_text(parse_data_key(text, id, *m_proxy), *m_proxy), text);
  for (std::size_t at = 0; at < text.size(); at += 7) {
    m_key_objects[id][at] ^= 1;
    EXPECT_THROW(read_pack(*m_reader, pack), Error) << at;
    m_key_objects[id] = text;
  }
  // Another key's object in its place.
  std::string other;
  const auto sealer = m_proxy->new_sealer(other);
  m_key_objects[id] = other;
  EXPECT_THROW(read_pack(*m_reader, pack), Error);
}

}  // namespace
}  // namespace hamal::repository
