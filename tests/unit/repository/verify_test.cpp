// Every kind of object deleted, cut, flipped, swapped: verify says which versions suffer, and
// where, and that the others do not.
#include "hamal/repository/verify.hpp"

#include <gmock/gmock.h>

#include "repository/damage_lab.hpp"

namespace hamal::repository {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Version 1 writes blocks 0 and 1, version 2 block 1, version 3 block 3.
class VerifyTest : public DamageLab {
 protected:
  VerifyTest() {
    commit({{0, random_bytes(k_block, 1)}, {k_block, random_bytes(k_block, 2)}});
    commit({{k_block, compressible_bytes(k_block)}});
    commit({{3 * k_block, random_bytes(k_block, 3)}});
  }

  VerifyReport run(VerifyDepth depth) {
    // As another process sees it: nothing is remembered.
    auto copy = std::make_unique<test::MemoryStore>();
    for (const std::string& key : keys("")) {
      copy->put(key, store->object(key));
    }
    const auto opened = open_repository(std::move(copy), {});
    const auto progress = make_progress(ProgressMode::quiet);
    return verify({*opened, opened->vms(), depth, *progress, m_cancel});
  }

  static std::vector<std::uint64_t> generations(const VerifyReport& report) {
    std::vector<std::uint64_t> all;
    for (const Damage& damage : report.damages) {
      all.push_back(damage.generation);
    }
    return all;
  }

  void flip(const std::string& key, std::size_t at) { store->object(key)[at] ^= std::byte{1}; }

 private:
  CancelToken m_cancel;
};

TEST_F(VerifyTest, NothingIsWrong) {
  const auto quick = run(VerifyDepth::quick);
  EXPECT_THAT(quick.damages, IsEmpty());
  EXPECT_THAT(quick.damaged_objects, IsEmpty());
  EXPECT_EQ(quick.versions, 3U);
  EXPECT_EQ(quick.layers, 3U);
  EXPECT_EQ(quick.packs, 3U);
  const auto full = run(VerifyDepth::full);
  EXPECT_THAT(full.damaged_objects, IsEmpty());
  EXPECT_GT(full.read_bytes, 3 * k_block);
  EXPECT_TRUE(full.decoded);
}

TEST_F(VerifyTest, AMissingPackHurtsThoseThatShowItsRecordsAndNamesTheRange) {
  store->remove(pack_of(versions[1]));
  const auto report = run(VerifyDepth::quick);
  ASSERT_THAT(generations(report), ElementsAre(2, 3));
  for (const Damage& damage : report.damages) {
    EXPECT_EQ(damage.disk, "vda");
    EXPECT_EQ(damage.vm_name, "web01");
    EXPECT_EQ(damage.object, pack_of(versions[1]));
    EXPECT_THAT(damage.ranges, ElementsAre(Extent{k_block, k_block, ExtentKind::data}));
    EXPECT_EQ(damage.bytes, k_block);
  }
  EXPECT_THAT(report.damaged_objects, ElementsAre(pack_of(versions[1])));
}

TEST_F(VerifyTest, WhatANewerVersionHidesDoesNotHurtIt) {
  store->remove(pack_of(versions[0]));
  const auto report = run(VerifyDepth::quick);
  ASSERT_THAT(generations(report), ElementsAre(1, 2, 3));
  EXPECT_THAT(report.damages[0].ranges, ElementsAre(Extent{0, 2 * k_block, ExtentKind::data}));
  EXPECT_THAT(report.damages[1].ranges, ElementsAre(Extent{0, k_block, ExtentKind::data}));
}

TEST_F(VerifyTest, ACutPackIsSeenWithoutReadingIt) {
  store->object(pack_of(versions[2])).resize(k_block / 2);
  const auto report = run(VerifyDepth::quick);
  EXPECT_THAT(generations(report), ElementsAre(3));
  EXPECT_THAT(report.damages[0].problem, HasSubstr("ends before"));
}

TEST_F(VerifyTest, PacksThatWereSwappedAreSeen) {
  std::swap(store->object(pack_of(versions[0])), store->object(pack_of(versions[2])));
  const auto report = run(VerifyDepth::full);
  EXPECT_THAT(generations(report), ElementsAre(1, 2, 3));
  EXPECT_THAT(report.damaged_objects, ElementsAre(pack_of(versions[0]), pack_of(versions[2])));
}

TEST_F(VerifyTest, AMissingLayerHurtsTheWholeDiskOfThoseThatNameIt) {
  store->remove(layer_of(versions[1]));
  const auto report = run(VerifyDepth::quick);
  ASSERT_THAT(generations(report), ElementsAre(2, 3));
  EXPECT_EQ(report.damages[0].object, layer_of(versions[1]));
  EXPECT_EQ(report.damages[0].bytes, k_disk);
}

TEST_F(VerifyTest, LayersThatWereSwappedAreSeen) {
  std::swap(store->object(layer_of(versions[1])), store->object(layer_of(versions[2])));
  EXPECT_THAT(generations(run(VerifyDepth::quick)), ElementsAre(2, 3));
}

TEST_F(VerifyTest, AMissingSlotIsNamedBetweenOthers) {
  store->remove(slot_of(versions[1]));
  const auto report = run(VerifyDepth::quick);
  ASSERT_THAT(generations(report), ElementsAre(2));
  EXPECT_EQ(report.damages[0].object, slot_of(versions[1]));
  EXPECT_EQ(report.versions, 2U);
}

TEST_F(VerifyTest, ManifestsThatWereSwappedAreSeen) {
  std::swap(store->object(slot_of(versions[0])), store->object(slot_of(versions[1])));
  EXPECT_THAT(generations(run(VerifyDepth::quick)), ElementsAre(1, 2));
}

TEST_F(VerifyTest, NoByteOfAnyObjectCanChangeUnseen) {
  std::vector<std::string> objects = keys("versions/");
  for (const char* prefix : {"packs/", "layers/"}) {
    const auto more = keys(prefix);
    objects.insert(objects.end(), more.begin(), more.end());
  }
  ASSERT_EQ(objects.size(), 9U);
  for (const std::string& key : objects) {
    const std::size_t size = store->object(key).size();
    // Of long ones the ends whole (headers, checksums), of the rest some.
    for (std::size_t at = 0; at < size; at += at < 160 || at + 160 > size ? 1 : 41) {
      flip(key, at);
      EXPECT_THAT(run(VerifyDepth::full).damaged_objects, Contains(key)) << "byte " << at;
      flip(key, at);
    }
  }
  EXPECT_THAT(run(VerifyDepth::full).damaged_objects, IsEmpty());
}

TEST_F(VerifyTest, AFlippedByteHurtsItsRecordAlone) {
  // The second record's body of version 1, which version 2 hides.
  flip(pack_of(versions[0]), store->object(pack_of(versions[0])).size() - k_pack_end_bytes - 9);
  const auto report = run(VerifyDepth::full);
  ASSERT_THAT(generations(report), ElementsAre(1));
  EXPECT_THAT(report.damages[0].ranges, ElementsAre(Extent{k_block, k_block, ExtentKind::data}));
  EXPECT_THAT(run(VerifyDepth::quick).damages, IsEmpty());  // bytes are not read
}

}  // namespace
}  // namespace hamal::repository
