#include "hamal/repository/keyring.hpp"

#include <gtest/gtest.h>

#include "hamal/repository/hash.hpp"
#include "hamal/util/error.hpp"
#include "repository/bytes.hpp"

namespace hamal::repository {
namespace {

TEST(Hash, Sha256IsTheStandardsOwnInOnePieceAndInMany) {
  // FIPS 180-4, "abc".
  constexpr const char* k_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(to_hex(sha256(bytes_of("abc"))), k_abc);
  Sha256 pieces;
  for (int round = 0; round < 2; ++round) {
    pieces.update(bytes_of("a"));
    pieces.update({});
    pieces.update(bytes_of("bc"));
    EXPECT_EQ(to_hex(pieces.finish()), k_abc);
  }
}

TEST(Hash, HmacIsTheStandardsOwn) {
  // RFC 4231, cases 1 and 2.
  const Bytes key(20, std::byte{0x0b});
  const HmacSha256 first(key);
  EXPECT_EQ(to_hex(first.of(bytes_of("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(first.of(bytes_of("Hi "), bytes_of("There")), first.of(bytes_of("Hi There")));
  EXPECT_EQ(to_hex(HmacSha256(bytes_of("Jefe")).of(bytes_of("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(PlainKeyring, ChecksEverythingAndHidesNothing) {
  const auto keyring = make_plain_keyring();
  const Bytes text = to_bytes("some bytes");
  EXPECT_FALSE(keyring->encrypted());
  EXPECT_TRUE(keyring->can_read_records());
  EXPECT_EQ(keyring->record_id(text), sha256(text));
  EXPECT_EQ(keyring->seal_index(text, "layers/x"), text);
  EXPECT_EQ(keyring->open_index(text, "layers/x"), text);

  std::string key_object = "old";
  const auto sealer = keyring->new_sealer(key_object);
  EXPECT_EQ(key_object, "");
  EXPECT_FALSE(sealer->key_id());
  Bytes to = to_bytes("before ");
  EXPECT_EQ(sealer->seal(RecordId{}, text, to), 0U);
  EXPECT_EQ(to, to_bytes("before some bytes"));
  Bytes body;
  EXPECT_THROW(keyring->open_record(KeyId{}, 0, RecordId{}, text, body, nullptr), Error);
}

TEST(PlainKeyring, BindsATextToItsName) {
  const auto keyring = make_plain_keyring();
  const Digest digest = keyring->authenticate("text", "name");
  EXPECT_EQ(keyring->authenticate("text", "name"), digest);
  EXPECT_NE(keyring->authenticate("text2", "name"), digest);
  EXPECT_NE(keyring->authenticate("text", "name2"), digest);
  EXPECT_NE(keyring->authenticate("etext", "nam"), digest);
}

}  // namespace
}  // namespace hamal::repository
