// Layers: round trips, and every way in which one can be damaged.
#include "hamal/repository/layer.hpp"

#include <gmock/gmock.h>

#include <stdexcept>

#include "layer_model.hpp"

namespace hamal::repository {
namespace {

using testing::HasSubstr;

Cells cells_of(const std::vector<LayerEntry>& entries, std::uint64_t size) {
  Cells cells(size);
  paint(cells, entries);
  return cells;
}

TEST(Layer, ReadsBackWhatWasWritten) {
  const std::uint64_t first = std::random_device()();
  for (std::uint64_t seed = first; seed < first + 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice(seed);
    LayerLab lab;
    std::uint64_t records = 0;
    const std::uint64_t size = dice(1, 6000);
    const auto entries = random_entries(dice, size, dice(1, 400), records);
    const LayerReference reference = lab.put(entries, size);
    const auto layer = lab.open(reference);
    EXPECT_EQ(layer->reference(), reference);
    EXPECT_EQ(layer->disk_size(), size);
    const auto got = drain(*layer->entries(), size);
    EXPECT_EQ(got.size(), reference.entries);
    EXPECT_TRUE(cells_of(got, size) == cells_of(entries, size));
    std::set<PackName> packs;
    ExtentTotals totals;
    for (const LayerEntry& entry : got) {
      totals.add(entry.extent);
      if (entry.extent.kind == ExtentKind::data) {
        packs.insert(entry.place.pack);
      }
    }
    EXPECT_EQ(layer->totals(), totals);
    EXPECT_EQ(layer->packs(), std::vector<PackName>(packs.begin(), packs.end()));
  }
}

TEST(Layer, KeepsEveryFieldOfAnEntry) {
  const std::uint64_t size = (std::uint64_t{1} << 63) - 1;
  LayerEntry zero;
  zero.extent = {0, size - 70000, ExtentKind::zero};
  LayerEntry data;
  data.extent = {size - 4096, 4096, ExtentKind::data};
  data.place = {pack_named(255, 0xffffffff), 1U << 30, k_record_header_bytes + 70000};
  data.plain = k_record_bytes;
  data.skip = k_record_bytes - 4096;
  data.id = id_of(77);
  const std::vector<LayerEntry> entries{zero, data};
  LayerLab lab;
  EXPECT_EQ(drain(*lab.layer(entries, size)->entries(), size), entries);
  EXPECT_TRUE(drain(*lab.layer({}, 0)->entries(), 0).empty());
}

TEST(Layer, JoinsWhatGoesOn) {
  LayerEntry first;
  first.extent = {0, 10, ExtentKind::data};
  first.place = {pack_named(1, 1), 100, 200};
  first.plain = 40;
  LayerEntry second = first;
  second.extent = {10, 20, ExtentKind::data};
  second.skip = 10;
  LayerEntry third = first;  // adjacent, and not the next bytes of the record
  third.extent = {30, 10, ExtentKind::data};
  third.skip = 29;
  LayerEntry zero;
  zero.extent = {40, 5, ExtentKind::zero};
  LayerEntry more = zero;
  more.extent = {45, 5, ExtentKind::zero};
  LayerLab lab;
  const auto got = drain(*lab.layer({first, second, third, zero, more}, 100)->entries(), 100);
  ASSERT_EQ(got.size(), 3U);
  EXPECT_EQ(got[0].extent, (Extent{0, 30, ExtentKind::data}));
  EXPECT_EQ(got[1], third);
  EXPECT_EQ(got[2].extent, (Extent{40, 10, ExtentKind::zero}));
}

TEST(Layer, WritersThatBreakTheirPromisesAreRefused) {
  LayerLab lab;
  LayerEntry good;
  good.extent = {100, 10, ExtentKind::data};
  good.place = {pack_named(1, 1), 100, 200};
  good.plain = 10;
  const auto refused = [&](const std::function<void(LayerEntry&)>& change) {
    LayerEntry bad = good;
    bad.extent.offset = 200;
    change(bad);
    EXPECT_THROW(lab.put({good, bad}, 1000), std::logic_error);
  };
  lab.put({good}, 1000);
  refused([](LayerEntry& entry) { entry.extent.offset = 109; });
  refused([](LayerEntry& entry) { entry.extent.length = 0; });
  refused([](LayerEntry& entry) { entry.extent.offset = 991; });
  refused([](LayerEntry& entry) { entry.extent.offset = ~std::uint64_t{0} - 5; });
  refused([](LayerEntry& entry) { entry.skip = 1; });
  refused([](LayerEntry& entry) { entry.plain = 9; });
  refused([](LayerEntry& entry) { entry.plain = k_record_bytes + 1; });
  refused([](LayerEntry& entry) { entry.place.length = k_record_header_bytes; });
}

/// Layers of more than one block, too large to be fetched at once.
class LargeLayer : public testing::Test {
 protected:
  LargeLayer() {
    for (std::uint64_t i = 0; i < k_count; ++i) {
      LayerEntry entry;
      entry.extent = {i * 8192, 4096, i % 10 == 9 ? ExtentKind::zero : ExtentKind::data};
      if (entry.extent.kind == ExtentKind::data) {
        entry.id = sha256(bytes_of(std::to_string(i)));
        entry.place = {pack_named(1, static_cast<std::uint32_t>(i / 500)), i % 500 * 3000,
                       static_cast<std::uint32_t>(2000 + i % 7)};
        entry.plain = 4096;
      }
      m_entries.push_back(entry);
    }
    m_reference = m_lab.put(m_entries, k_size);
  }
  static constexpr std::uint64_t k_count = 20000;
  static constexpr std::uint64_t k_size = k_count * 8192;

  LayerLab m_lab;
  std::vector<LayerEntry> m_entries;
  LayerReference m_reference;
};

TEST_F(LargeLayer, IsReadFromAnywhere) {
  ASSERT_GT(m_reference.bytes, 512U << 10);
  const auto layer = m_lab.open(m_reference);
  EXPECT_EQ(drain(*layer->entries(), k_size), m_entries);
  Dice dice(std::random_device{}());
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t begin = dice(0, k_size);
    const auto source = layer->entries(begin);
    LayerEntry entry;
    const std::size_t expected = (begin + 4096) / 8192;
    ASSERT_EQ(source->next(entry), expected < k_count) << begin;
    if (expected < k_count) {
      ASSERT_EQ(entry, m_entries[expected]) << begin;
      const std::uint64_t later = dice(begin, k_size);
      source->skip_to(later);
      while (source->next(entry) && entry.extent.end() <= later) {
      }
      const std::size_t next = std::max(expected + 1, (later + 4096) / 8192);
      if (next < k_count) {
        ASSERT_EQ(entry, m_entries[next]) << begin << " then " << later;
      }
    }
  }
}

TEST_F(LargeLayer, OnlyWhatIsNeededIsFetched) {
  const auto layer = m_lab.open(m_reference);
  const std::uint64_t opened = m_lab.store.fetched;
  EXPECT_LE(opened, 256U << 10);
  LayerEntry entry;
  ASSERT_TRUE(layer->entries(k_size / 4)->next(entry));
  EXPECT_LE(m_lab.store.fetched - opened, 170U << 10) << "one block";
  const std::size_t gets = m_lab.store.gets;
  ASSERT_TRUE(layer->entries(k_size / 4 + 5 * std::uint64_t{8192})->next(entry));
  EXPECT_EQ(m_lab.store.gets, gets) << "the block is kept";
  drain(*layer->entries(), k_size);
  EXPECT_LE(m_lab.store.gets - gets, 3U) << "a sequential reader fetches many blocks at once";
}

std::string refusal(LayerLab& lab, const LayerReference& reference) {
  try {
    const auto layer = lab.open(reference);
    drain(*layer->entries(), layer->disk_size());
  } catch (const ObjectMissing& error) {
    return "missing";
  } catch (const Error& error) {
    EXPECT_FALSE(error.transient());
    EXPECT_THAT(error.what(), HasSubstr("layers/x/0-"));
    return error.problem();
  }
  return "accepted";
}

TEST_F(LargeLayer, AnyByteThatIsFlippedIsFound) {
  auto& object = m_lab.store.object(m_reference.key);
  const auto damaged = [&](std::size_t at, unsigned bit) {
    object[at] ^= static_cast<std::byte>(1U << bit);
    EXPECT_NE(refusal(m_lab, m_reference), "accepted") << at;
    object[at] ^= static_cast<std::byte>(1U << bit);
  };
  Dice dice(std::random_device{}());
  for (std::size_t at = 0; at < 8; ++at) {
    damaged(at, 7);
    damaged(object.size() - 1 - at, 0);
  }
  for (int i = 0; i < 25; ++i) {
    damaged(dice(0, object.size() - 1), static_cast<unsigned>(dice(0, 7)));
  }
  EXPECT_EQ(refusal(m_lab, m_reference), "accepted");
}

TEST(Layer, EveryByteThatIsFlippedIsFound) {
  LayerLab lab;
  Dice dice(5);
  std::uint64_t records = 0;
  const LayerReference reference = lab.put(random_entries(dice, 2000, 200, records), 2000);
  auto& object = lab.store.object(reference.key);
  for (std::byte& byte : object) {
    for (const unsigned bit : {0U, 7U}) {
      byte ^= static_cast<std::byte>(1U << bit);
      EXPECT_NE(refusal(lab, reference), "accepted") << (&byte - object.data());
      byte ^= static_cast<std::byte>(1U << bit);
    }
  }
  EXPECT_EQ(refusal(lab, reference), "accepted");
  const auto whole = object;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    object.resize(size);
    ASSERT_NE(refusal(lab, reference), "accepted") << size;
  }
  object = whole;
  lab.store.remove(reference.key);
  EXPECT_EQ(refusal(lab, reference), "missing");
}

TEST(Layer, AnotherLayerInItsPlaceIsFound) {
  LayerLab lab;
  Dice dice(6);
  std::uint64_t records = 0;
  const LayerReference one = lab.put(random_entries(dice, 2000, 200, records), 2000);
  const LayerReference other = lab.put(random_entries(dice, 2000, 200, records), 2000);
  lab.store.object(one.key) = lab.store.object(other.key);
  LayerReference swapped = one;
  swapped.bytes = other.bytes;
  EXPECT_THAT(refusal(lab, swapped), HasSubstr("not the one that the manifest names"));
  // Even who can change the manifest does not get past the keyring.
  swapped.digest = other.digest;
  swapped.entries = other.entries;
  try {
    lab.open(swapped);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("does not authenticate"));
  }
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{31}, ~std::uint64_t{0}}) {
    LayerReference lying = other;
    lying.bytes = bytes;
    EXPECT_NE(refusal(lab, lying), "accepted");
  }
  LayerReference lying = other;
  ++lying.entries;
  EXPECT_THAT(refusal(lab, lying), HasSubstr("as many entries"));
}

}  // namespace
}  // namespace hamal::repository
