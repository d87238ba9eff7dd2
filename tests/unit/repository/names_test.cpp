#include "hamal/repository/names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "hamal/repository/hash.hpp"

namespace hamal::repository {
namespace {

constexpr const char* k_session = "00112233445566778899aabbccddeeff";

SessionId session() {
  return parse_session_id(k_session).value();
}

TEST(Names, HexIsReadBackAndNothingElse) {
  EXPECT_EQ(to_hex(session()), k_session);
  EXPECT_FALSE(parse_session_id("00112233445566778899aabbccddeef"));
  EXPECT_FALSE(parse_session_id("00112233445566778899AABBCCDDEEFF"));
  EXPECT_FALSE(parse_session_id("0011223344556677 899aabbccddeeff"));
  EXPECT_FALSE(parse_digest(k_session));
  EXPECT_NE(random_session_id(), random_session_id());
}

TEST(Names, KeysAreWhatThePageSays) {
  EXPECT_EQ(session_key(session()), std::string("sessions/") + k_session);
  EXPECT_EQ(beat_key(session()), std::string("beats/") + k_session);
  EXPECT_EQ(staged_key(session(), 12), std::string("staged/") + k_session + "/12");
  EXPECT_EQ(pack_key({session(), 7}), std::string("packs/") + k_session + "/00000007");
  EXPECT_EQ(layer_key(session(), 1, 0), std::string("layers/") + k_session + "/1-0");
  EXPECT_EQ(data_key_key(session()), std::string("keys/") + k_session);
  EXPECT_EQ(slot_key({"lab", "vm 1"}, 42), "versions/lab/vm=201/0000000042");
  EXPECT_EQ(compaction_key(1), "compactions/0000000001");
  EXPECT_EQ(condemned_key(1), "condemned/0000000001");
  EXPECT_EQ(verdict_key(1), "verdicts/0000000001");
  EXPECT_EQ(done_key(1), "done/0000000001");
  EXPECT_THROW(pack_key({session(), 100'000'000}), std::logic_error);
  EXPECT_THROW(done_key(10'000'000'000), std::logic_error);
}

TEST(Names, PackAndSlotKeysAreReadBack) {
  const PackName pack{session(), 99'999'999};
  EXPECT_EQ(parse_pack_key(pack_key(pack)), pack);
  for (const char* key :
       {"packs/00112233445566778899aabbccddeeff/1", "packs/00112233445566778899aabbccddeeff",
        "packs/00112233445566778899aabbccddeeff/00000001/x", "layers/x/00000001",
        "packs/00112233445566778899aabbccddeeff/+0000001", "", "packs//00000001"}) {
    EXPECT_FALSE(parse_pack_key(key)) << key;
  }
  const VmName vm{"Lab 1", "web/01"};
  const auto slot = parse_slot_key(slot_key(vm, 9'999'999'999));
  ASSERT_TRUE(slot);
  EXPECT_EQ(slot->vm, vm);
  EXPECT_EQ(slot->generation, 9'999'999'999);
  for (const char* key : {"versions/a/b", "versions/a/b/1", "versions/a/=2/0000000001",
                          "versions/a//0000000001", "version/a/b/0000000001"}) {
    EXPECT_FALSE(parse_slot_key(key)) << key;
  }
}

TEST(Names, EveryTextBecomesAPartOfAKeyAndBack) {
  const std::string every = [] {
    std::string text;
    for (int c = 0; c < 40; ++c) {
      text += static_cast<char>(c);
    }
    return text;
  }();
  EXPECT_EQ(escape_key_part("a.b-c_D9"), "a.b-c_D9");
  EXPECT_EQ(escape_key_part("."), "=2E");
  EXPECT_EQ(escape_key_part(".."), "=2E=2E");
  EXPECT_EQ(escape_key_part(".a."), "=2Ea=2E");
  EXPECT_EQ(escape_key_part("a=b/ü"), "a=3Db=2F=C3=BC");
  EXPECT_EQ(escape_key_part(""), "=");
  for (const std::string& text :
       {every, std::string("=41"), std::string(160, 'x'), std::string(53, '/'), std::string()}) {
    EXPECT_EQ(unescape_key_part(escape_key_part(text)), text);
  }
  for (const char* part : {"", "a/b", "=2f", "=2", "=41", "a b", ".", "a=", "==", "=2E.", "=="}) {
    EXPECT_FALSE(unescape_key_part(part)) << part;
  }
}

TEST(Names, ALongNameIsCutToOneThatStandsForItself) {
  for (const std::string& text :
       {std::string(161, 'x'), std::string(54, '/'), "y" + std::string(60, '/'),
        "yy" + std::string(60, '/'), std::string(20'000, 'z')}) {
    const std::string part = escape_key_part(text);
    EXPECT_LE(part.size(), 160U);
    EXPECT_GE(part.size(), 158U);
    EXPECT_THAT(part, testing::EndsWith("==" + to_hex(sha256(bytes_of(text))).substr(0, 16)));
    EXPECT_EQ(escape_key_part(part), part);
    EXPECT_EQ(unescape_key_part(part), part);
    EXPECT_EQ(versions_prefix(parse_slot_key(slot_key({text, text}, 1)).value().vm),
              versions_prefix({text, text}));
  }
  EXPECT_NE(escape_key_part(std::string(161, 'x')), escape_key_part(std::string(162, 'x')));
}

}  // namespace
}  // namespace hamal::repository
