// The primitives of encryption, by published vectors where there are any.
#include <gtest/gtest.h>

#include "hamal/repository/aes_gcm.hpp"
#include "hamal/repository/hash.hpp"
#include "hamal/repository/hex.hpp"
#include "hamal/repository/key_pair.hpp"
#include "hamal/util/error.hpp"
#include "repository/bytes.hpp"
#include "repository/test_pairs.hpp"

namespace hamal::repository {
namespace {

Bytes from_hex(std::string_view text) {
  Bytes bytes(text.size() / 2);
  EXPECT_TRUE(parse_hex(text, bytes));
  return bytes;
}

SecretKey key_of(std::string_view text) {
  SecretKey key;
  EXPECT_TRUE(parse_hex(text, key.bytes()));
  return key;
}

TEST(DeriveKey, IsHkdf) {
  // RFC 5869, case 1: the first 32 bytes.
  const SecretKey key =
      derive_key(Bytes(22, std::byte{0x0b}), from_hex("000102030405060708090a0b0c"),
                 "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9");
  EXPECT_EQ(hex_text(key.bytes()),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

TEST(AesGcm, IsTheStandardsOwn) {
  // The GCM specification, test case 16.
  const AesGcm cipher(key_of("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"));
  GcmNonce nonce{};
  ASSERT_TRUE(parse_hex("cafebabefacedbaddecaf888", nonce));
  const Bytes bound = from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  const Bytes plain = from_hex(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
  const std::string expected =
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
      "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
      "76fc6ece0f4e1768cddf8853bb2d551b";
  Bytes sealed(plain.size() + k_gcm_tag_bytes);
  Bytes opened(plain.size());
  for (int round = 0; round < 2; ++round) {
    cipher.seal(nonce, bound, plain, sealed);
    EXPECT_EQ(hex_text(sealed), expected);
    EXPECT_TRUE(cipher.open(nonce, bound, sealed, opened));
    EXPECT_EQ(opened, plain);
  }
}

TEST(AesGcm, OpensNothingThatChanged) {
  const AesGcm cipher(SecretKey::random());
  const GcmNonce nonce{};
  const Bytes plain = random_bytes(100);
  const Bytes bound = to_bytes("name");
  Bytes sealed(plain.size() + k_gcm_tag_bytes);
  cipher.seal(nonce, bound, plain, sealed);
  Bytes opened(plain.size());
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    EXPECT_FALSE(cipher.open(nonce, bound, flipped(sealed, at, at % 8), opened)) << at;
    EXPECT_EQ(opened, Bytes(plain.size())) << "what is not authentic is not shown";
  }
  EXPECT_FALSE(cipher.open(nonce, to_bytes("Name"), sealed, opened));
  EXPECT_FALSE(cipher.open(GcmNonce{std::byte{1}}, bound, sealed, opened));
  EXPECT_FALSE(AesGcm(SecretKey::random()).open(nonce, bound, sealed, opened));
  EXPECT_FALSE(cipher.open(nonce, bound, Bytes(15), {}));
  EXPECT_TRUE(cipher.open(nonce, bound, sealed, opened));
}

TEST(KeyPair, WrapsForOneRecipientAndPurpose) {
  const PublicKey alice = PublicKey::parse(k_alice.public_key, "t");
  const PrivateKey hers = PrivateKey::parse(k_alice.private_key, "t");
  const PrivateKey his = PrivateKey::parse(k_bob.private_key, "t");
  EXPECT_EQ(alice.fingerprint(), hers.fingerprint());
  EXPECT_NE(alice.fingerprint(), his.fingerprint());
  EXPECT_EQ(alice.pem(), k_alice.public_key);

  const SecretKey key = SecretKey::random();
  const std::string wrapped = alice.wrap(key, "purpose");
  EXPECT_NE(wrapped, alice.wrap(key, "purpose"));
  EXPECT_EQ(hex_text(hers.unwrap(wrapped, "purpose", "o").bytes()), hex_text(key.bytes()));
  EXPECT_EQ(wrapped.find(hex_text(key.bytes())), std::string::npos);
  EXPECT_THROW(his.unwrap(wrapped, "purpose", "o"), Error);
  EXPECT_THROW(hers.unwrap(wrapped, "another", "o"), Error);
  const Bytes bytes = from_hex(wrapped);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    // The highest bit of a point is not part of it, but of what the key is derived from.
    EXPECT_THROW(hers.unwrap(hex_text(flipped(bytes, at, 7)), "purpose", "o"), Error) << at;
  }
  EXPECT_THROW(hers.unwrap(wrapped + "00", "purpose", "o"), Error);
  EXPECT_THROW(hers.unwrap("", "purpose", "o"), Error);
  EXPECT_THROW(hers.unwrap(std::string(160, '0'), "purpose", "o"), Error) << "of small order";
}

TEST(KeyPair, IsX25519InPemWithoutAPassphrase) {
  for (const char* text : {"", "key", k_alice.private_key, k_ed25519.public_key}) {
    EXPECT_THROW(PublicKey::parse(text, "[x] y"), Error);
  }
  for (const char* text :
       {"", "key", k_alice.public_key, k_ed25519.private_key, k_with_passphrase}) {
    try {
      PrivateKey::parse(text, "[repository] private_key");
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_EQ(error.object(), "[repository] private_key");
      EXPECT_EQ(std::string(error.what()).find("BEGIN"), std::string::npos);
    }
  }
}

TEST(Wipe, LeavesNothing) {
  std::string text = "a secret that is longer than a small string";
  const std::size_t size = text.size();
  const char* const data = text.data();
  wipe(text);
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(std::string(data, size), std::string(size, '\0'));
}

}  // namespace
}  // namespace hamal::repository
