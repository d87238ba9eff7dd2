#include "hamal/repository/record.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "hamal/util/error.hpp"
#include "repository/bytes.hpp"

namespace hamal::repository {
namespace {

class Record : public testing::Test {
 protected:
  Bytes encode(const Bytes& plain, int level = k_record_level) {
    std::string key_object;
    const auto sealer = m_keyring->new_sealer(key_object);
    Bytes stored;
    RecordEncoder(*sealer, level).encode(m_keyring->record_id(plain), plain, stored);
    return stored;
  }

  Bytes decode(const Bytes& stored, const RecordId& id, std::size_t size) {
    Bytes plain(size);
    RecordDecoder(*m_keyring, nullptr).decode(stored, id, {}, "dir:/r/packs/p", plain);
    return plain;
  }

  std::unique_ptr<Keyring> m_keyring = make_plain_keyring();
};

TEST_F(Record, OfEveryKindIsReadBack) {
  for (const std::size_t size : {1U, 15U, 4096U, 65535U, 65536U}) {
    for (const Bytes& plain : {random_bytes(size), compressible_bytes(size), Bytes(size)}) {
      const RecordId id = m_keyring->record_id(plain);
      EXPECT_EQ(decode(encode(plain), id, size), plain) << size;
      EXPECT_EQ(decode(encode(plain, 0), id, size), plain) << size;
    }
  }
}

TEST_F(Record, IsCompressedWhereThatPaysAndPlainWhereNot) {
  const auto encoding = [&](const Bytes& plain, int level) {
    const Bytes stored = encode(plain, level);
    const RecordHeader header = parse_record_header(stored, "r");
    EXPECT_EQ(stored.size(), k_record_header_bytes + header.body_length);
    EXPECT_EQ(header.plain_length, plain.size());
    return header.encoding;
  };
  EXPECT_EQ(encoding(random_bytes(65536), 1), Encoding::plain);
  EXPECT_EQ(encoding(compressible_bytes(65536), 1), Encoding::zstd);
  EXPECT_EQ(encoding(compressible_bytes(65536), 0), Encoding::plain);
  // A little less than a sixteenth to save, then a little more.
  Bytes bytes = random_bytes(65536);
  std::fill_n(bytes.begin(), 3 * 1024, std::byte{});
  EXPECT_EQ(encoding(bytes, 1), Encoding::plain);
  std::fill_n(bytes.begin(), 6 * 1024, std::byte{});
  EXPECT_EQ(encoding(bytes, 1), Encoding::zstd);
  EXPECT_LT(encode(bytes).size(), 61440U);
}

TEST_F(Record, IsAppendedBehindWhatIsThere) {
  std::string key_object;
  const auto sealer = m_keyring->new_sealer(key_object);
  RecordEncoder encoder(*sealer);
  Bytes stored;
  const Bytes first = compressible_bytes(4096);
  const Bytes second = random_bytes(4096);
  encoder.encode(m_keyring->record_id(first), first, stored);
  const std::size_t at = stored.size();
  encoder.encode(m_keyring->record_id(second), second, stored);
  EXPECT_EQ(Bytes(stored.begin(), stored.begin() + static_cast<std::ptrdiff_t>(at)), encode(first));
  EXPECT_EQ(Bytes(stored.begin() + static_cast<std::ptrdiff_t>(at), stored.end()), encode(second));
  EXPECT_THROW(encoder.encode(RecordId{}, {}, stored), std::logic_error);
  EXPECT_THROW(encoder.encode(RecordId{}, Bytes(65537), stored), std::logic_error);
}

TEST_F(Record, WithAnyBitFlippedIsNotBelieved) {
  for (const Bytes& plain : {random_bytes(200), compressible_bytes(4096)}) {
    const RecordId id = m_keyring->record_id(plain);
    const Bytes stored = encode(plain);
    for (std::size_t at = 0; at < stored.size(); ++at) {
      try {
        const Bytes read = decode(flipped(stored, at, at % 8), id, plain.size());
        // Bits of a zstd frame that mean nothing may flip: what is read is right or an error.
        EXPECT_EQ(read, plain) << at;
        EXPECT_GE(at, k_record_header_bytes);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::failed);
        EXPECT_FALSE(error.transient());
        EXPECT_EQ(error.object(), "dir:/r/packs/p");
      }
    }
  }
}

TEST_F(Record, OfAnotherIdOrLengthOrCutShortIsRefused) {
  const Bytes plain = compressible_bytes(4096);
  const Bytes other = random_bytes(4096);
  const RecordId id = m_keyring->record_id(plain);
  const Bytes stored = encode(plain);
  EXPECT_THROW(decode(stored, m_keyring->record_id(other), plain.size()), Error);
  EXPECT_THROW(decode(stored, id, plain.size() - 1), Error);
  EXPECT_THROW(decode(stored, id, plain.size() + 1), Error);
  for (std::size_t size = 0; size < stored.size(); ++size) {
    const Bytes cut(stored.begin(), stored.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THROW(decode(cut, id, plain.size()), Error) << size;
  }
  Bytes longer = stored;
  longer.push_back(std::byte{});
  EXPECT_THROW(decode(longer, id, plain.size()), Error);
}

TEST_F(Record, OfARecordThatIsNotItsIdIsRefused) {
  const Bytes plain = random_bytes(4096);
  Bytes forged = encode(random_bytes(4096, 2));
  const RecordId id = m_keyring->record_id(plain);
  std::copy(id.begin(), id.end(), forged.begin() + 32);
  EXPECT_THROW(decode(forged, id, plain.size()), Error);
}

TEST(RecordHeader, IsRefusedWhenItSaysWhatCannotBe) {
  RecordHeader good;
  good.plain_length = 4096;
  good.body_length = 4096;
  const auto parses = [](const RecordHeader& header) {
    Bytes bytes;
    append_record_header(header, bytes);
    EXPECT_EQ(bytes.size(), k_record_header_bytes);
    try {
      const RecordHeader read = parse_record_header(bytes, "r");
      EXPECT_EQ(read.body_length, header.body_length);
      EXPECT_EQ(read.key, header.key);
      EXPECT_EQ(read.nonce, header.nonce);
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  const auto with = [&](auto change) {
    RecordHeader header = good;
    change(header);
    return header;
  };
  EXPECT_TRUE(parses(good));
  EXPECT_TRUE(parses(with([](auto& h) {
    h.key = std::uint16_t{3};
    h.nonce = 1ULL << 63U;
    h.body_length += 16;
  })));
  EXPECT_FALSE(parses(with([](auto& h) { h.plain_length = h.body_length = 0; })));
  EXPECT_FALSE(parses(with([](auto& h) { h.plain_length = h.body_length = 65537; })));
  EXPECT_FALSE(parses(with([](auto& h) { h.body_length = 4095; })));
  EXPECT_FALSE(parses(with([](auto& h) { h.encoding = Encoding::zstd; })));
  EXPECT_FALSE(parses(with([](auto& h) { h.encoding = static_cast<Encoding>(2); })));
  EXPECT_FALSE(parses(with([](auto& h) { h.nonce = 1; })));
  EXPECT_FALSE(parses(with([](auto& h) { h.key = std::uint16_t{0}; })));
  EXPECT_FALSE(parses(with([](auto& h) {
    h.key = std::uint16_t{0};
    h.encoding = Encoding::zstd;
    h.body_length = 16;
  })));
}

}  // namespace
}  // namespace hamal::repository
