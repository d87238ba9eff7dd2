#include "hamal/repository/pack.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "hamal/util/error.hpp"
#include "repository/bytes.hpp"

namespace hamal::repository {
namespace {

constexpr const char* k_object = "dir:/r/packs/p";

KeyId key_id(unsigned char first) {
  KeyId id{};
  id[0] = std::byte{first};
  return id;
}

class Pack : public testing::Test {
 protected:
  Pack() {
    for (unsigned i = 0; i < 4; ++i) {
      m_plain.push_back(i % 2 == 0 ? random_bytes(300, i) : compressible_bytes(4096, i));
    }
  }

  Bytes build(const std::vector<KeyId>& keys = {}) {
    std::string key_object;
    const auto sealer = m_keyring->new_sealer(key_object);
    RecordEncoder encoder(*sealer);
    PackBuilder builder(keys);
    EXPECT_TRUE(builder.empty());
    EXPECT_EQ(builder.offset(), pack_header_bytes(keys.size()));
    for (const Bytes& plain : m_plain) {
      m_offsets.push_back(builder.offset());
      encoder.encode(m_keyring->record_id(plain), plain, builder.buffer());
      builder.added();
    }
    EXPECT_FALSE(builder.empty());
    EXPECT_FALSE(builder.full());
    return builder.finish();
  }

  std::unique_ptr<Keyring> m_keyring = make_plain_keyring();
  std::vector<Bytes> m_plain;
  std::vector<std::uint64_t> m_offsets;
};

TEST_F(Pack, TellsEveryRecordWithItsPlace) {
  const Bytes pack = build();
  std::vector<Bytes> read;
  std::vector<std::uint64_t> offsets;
  RecordDecoder decoder(*m_keyring, nullptr);
  scan_pack(pack, k_object, [&](std::uint64_t offset, const RecordHeader& header, ByteView stored) {
    Bytes plain(header.plain_length);
    decoder.decode(stored, header.id, {}, k_object, plain);
    read.push_back(plain);
    offsets.push_back(offset);
  });
  EXPECT_EQ(read, m_plain);
  EXPECT_EQ(offsets, m_offsets);
}

TEST_F(Pack, WithoutARecordIsAPack) {
  int records = 0;
  scan_pack(PackBuilder({}).finish(), k_object, [&](auto&&...) { ++records; });
  EXPECT_EQ(records, 0);
}

TEST_F(Pack, NamesItsKeys) {
  const std::vector<KeyId> keys{key_id(1), key_id(2)};
  const Bytes pack = build(keys);
  EXPECT_EQ(parse_pack_header_bytes(ByteView(pack).first(16), k_object), 48U);
  EXPECT_EQ(pack_header_bytes(2), 48U);
  EXPECT_EQ(parse_pack_header(ByteView(pack).first(48), k_object), keys);
  EXPECT_EQ(parse_pack_header(pack, k_object), keys);
  EXPECT_THROW(parse_pack_header(ByteView(pack).first(47), k_object), Error);
  EXPECT_THROW(parse_pack_header_bytes(ByteView(pack).first(15), k_object), Error);
  EXPECT_THROW(parse_pack_header(flipped(pack, 0, 0), k_object), Error);
  EXPECT_THROW(parse_pack_header(flipped(pack, 11, 0), k_object), Error);
  EXPECT_THROW(PackBuilder(std::vector<KeyId>(k_pack_keys + 1)), std::logic_error);
}

TEST_F(Pack, WithAnyBitFlippedIsRefusedBeforeAnythingIsTold) {
  const Bytes pack = build({key_id(9)});
  for (std::size_t at = 0; at < pack.size(); ++at) {
    int told = 0;
    try {
      scan_pack(flipped(pack, at, at % 8), k_object, [&](auto&&...) { ++told; });
      ADD_FAILURE() << "a flipped bit at " << at << " was not seen";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::failed);
      EXPECT_EQ(error.object().rfind(k_object, 0), 0U) << error.object();
    }
    EXPECT_EQ(told, 0) << at;
  }
}

TEST_F(Pack, CutShortOrGrownIsRefused) {
  Bytes pack = build();
  for (std::size_t size = 0; size < pack.size(); ++size) {
    EXPECT_THROW(scan_pack(ByteView(pack).first(size), k_object, [](auto&&...) {}), Error) << size;
  }
  pack.push_back(std::byte{});
  EXPECT_THROW(scan_pack(pack, k_object, [](auto&&...) {}), Error);
}

TEST_F(Pack, DoesNotTakeWhatIsNoRecord) {
  PackBuilder builder({});
  builder.buffer().resize(builder.buffer().size() + 100);
  builder.added();
  EXPECT_THROW(builder.finish(), Error);
}

TEST_F(Pack, IsFullAtItsSize) {
  std::string key_object;
  const auto sealer = m_keyring->new_sealer(key_object);
  RecordEncoder encoder(*sealer, 0);
  PackBuilder builder({});
  const Bytes plain(k_record_bytes);
  const RecordId id = m_keyring->record_id(plain);
  while (!builder.full()) {
    EXPECT_LT(builder.offset(), k_pack_bytes);
    encoder.encode(id, plain, builder.buffer());
    builder.added();
  }
  EXPECT_LT(builder.offset(), k_pack_bytes + k_record_bytes + k_record_header_bytes);
}

}  // namespace
}  // namespace hamal::repository
