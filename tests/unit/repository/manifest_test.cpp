// Slots as text: what is written reads back; what is damaged, moved or wrong is refused.
#include "hamal/repository/manifest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hamal/repository/authentic_text.hpp"
#include "hamal/repository/condemned.hpp"
#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

Manifest example() {
  Manifest manifest;
  manifest.repository = "00112233445566778899aabbccddeeff";
  manifest.vm = {"lab", "vm/1"};
  manifest.vm_name = "web01";
  manifest.generation = 7;
  manifest.session[0] = std::byte{0x5a};
  manifest.snapshot_id = "s-7";
  manifest.created = "2026-11-25T00:00:00Z";
  manifest.committed = "2026-11-25T00:01:00Z";
  manifest.parent = Parent{6, text_digest("six")};
  manifest.document = R"({"format":"hamal-snapshot"})";
  DiskVersion disk;
  disk.id = "vda";
  disk.label = "root";
  disk.size = 1 << 30;
  disk.change_id = "bitmap-7";
  disk.mode = SyncMode::incremental;
  disk.layers = {{layer_key(SessionId{}, 0, 0), 4711, text_digest("tail"), 12}};
  disk.data_bytes = 4096;
  manifest.disks = {disk};
  return manifest;
}

class ManifestTest : public testing::Test {
 protected:
  std::unique_ptr<Keyring> m_keyring = make_plain_keyring();
  std::string m_key = slot_key({"lab", "vm/1"}, 7);
};

TEST_F(ManifestTest, ReadsBackWhatWasWritten) {
  const auto text = to_text(example(), m_key, *m_keyring);
  EXPECT_EQ(std::get<Manifest>(parse_slot(text, m_key, *m_keyring)), example());
  auto bare = example();
  bare.parent.reset();
  EXPECT_EQ(std::get<Manifest>(parse_slot(to_text(bare, m_key, *m_keyring), m_key, *m_keyring)),
            bare);
}

TEST_F(ManifestTest, ATombstoneIsNoVersion) {
  const Tombstone tombstone{Tombstone::Why::dropped, "2026-11-25T00:00:00Z"};
  const auto slot = parse_slot(to_text(tombstone, m_key, *m_keyring), m_key, *m_keyring);
  EXPECT_EQ(std::get<Tombstone>(slot).why, Tombstone::Why::dropped);
}

TEST_F(ManifestTest, AStagedDiskReadsBack) {
  const auto disk = example().disks.front();
  EXPECT_EQ(parse_staged(to_text(disk, "staged/x/0", *m_keyring), "staged/x/0", *m_keyring), disk);
}

TEST_F(ManifestTest, EveryFlippedBitIsFound) {
  const auto text = to_text(example(), m_key, *m_keyring);
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto damaged = text;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_THROW(parse_slot(damaged, m_key, *m_keyring), Error) << "byte " << i;
  }
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_THROW(parse_slot(text.substr(0, length), m_key, *m_keyring), Error) << length;
  }
}

TEST_F(ManifestTest, WhatCannotBeAKeyIsRefusedHoweverAuthentic) {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {R"("generation":7)", R"("generation":10000000000)"},
      {"layers/0", "../layers/0"},
      {"layers/0", "packs/0"},
      {"/0-0", "/0-0/.."},
      {"/0-0", ""},
  };
  const std::string whole = to_text(example(), m_key, *m_keyring);
  const std::string line = whole.substr(0, whole.find('\n'));
  for (const auto& [from, to] : wrong) {
    std::string text = line;
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    EXPECT_THROW(parse_slot(authentic_text(text, m_key, *m_keyring), m_key, *m_keyring), Error)
        << text;
  }
}

TEST_F(ManifestTest, AVersionBelongsToItsSlotAlone) {
  const auto text = to_text(example(), m_key, *m_keyring);
  EXPECT_THROW(parse_slot(text, slot_key({"lab", "vm/1"}, 8), *m_keyring), Error);
  // Not even one that was authenticated for the wrong slot.
  const std::string other = slot_key({"lab", "vm/1"}, 8);
  EXPECT_THROW(parse_slot(to_text(example(), other, *m_keyring), other, *m_keyring), Error);
}

TEST_F(ManifestTest, ADiskIsNamedOnce) {
  auto twice = example();
  twice.disks.push_back(twice.disks.front());
  EXPECT_THROW(parse_slot(to_text(twice, m_key, *m_keyring), m_key, *m_keyring), Error);
}

TEST_F(ManifestTest, ARoundReadsBackWithItsRangesOfPacks) {
  CondemnedRound round;
  round.versions = {m_key};
  round.objects = {"layers/x/0-0", "sessions/x"};
  for (const std::uint32_t number : {0U, 1U, 2U, 7U, 9U}) {
    round.packs.insert({SessionId{}, number});
  }
  SessionId other{};
  other[15] = std::byte{1};
  round.packs.insert({other, 3});
  const auto key = condemned_key(1);
  EXPECT_EQ(parse_condemned(to_text(round, key, *m_keyring), key, *m_keyring), round);
  EXPECT_EQ(parse_condemned(to_text(CondemnedRound{}, key, *m_keyring), key, *m_keyring),
            CondemnedRound{});
}

TEST_F(ManifestTest, AFewBytesThatNameAHundredMillionPacksStayAFewBytes) {
  const auto key = condemned_key(1);
  const std::string session(32, '0');
  const auto text = [&](const std::string& ranges) {
    return authentic_text(R"({"format":"hamal-condemned","version":1,"versions":[],"objects":[],)"
                          R"("packs":{")" +
                              session + "\":[" + ranges + "]}}",
                          key, *m_keyring);
  };
  const auto round = parse_condemned(text("[0,99999999]"), key, *m_keyring);
  EXPECT_EQ(round.packs.size(), 100'000'000U);
  EXPECT_EQ(round.packs.sessions().begin()->second.size(), 1U);
  // More than a key has digits for.
  EXPECT_THROW(parse_condemned(text("[0,100000000]"), key, *m_keyring), Error);
  EXPECT_THROW(parse_condemned(text("[2,1]"), key, *m_keyring), Error);
}

}  // namespace
}  // namespace hamal::repository
