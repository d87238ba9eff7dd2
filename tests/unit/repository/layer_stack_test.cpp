// Stacks of layers against a model with one cell per byte.
#include "hamal/repository/layer_stack.hpp"

#include <gmock/gmock.h>

#include <deque>

#include "hamal/extent/sources.hpp"
#include "layer_model.hpp"

namespace hamal::repository {
namespace {

/// Random trials, each of which its seed makes again; `trial(dice, lab, records)`.
template <typename Trial>
void for_random_trials(unsigned count, const Trial& trial) {
  const std::uint64_t first = std::random_device()();
  for (std::uint64_t seed = first; seed < first + count && !testing::Test::HasFatalFailure();
       ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice(seed);
    LayerLab lab;
    std::uint64_t records = 0;
    trial(dice, lab, records);
  }
}

/// Random layers and what the stack of them shows.
struct RandomStack {
  RandomStack(Dice& dice, LayerLab& lab, std::uint64_t disk, std::uint64_t& records, unsigned most)
      : size(disk), cells(disk) {
    const std::uint64_t count = dice(0, most);
    for (std::uint64_t i = 0; i < count; ++i) {
      add(dice, lab, records);
    }
  }
  void add(Dice& dice, LayerLab& lab, std::uint64_t& records) {
    const auto entries = random_entries(dice, size, dice(1, 1 + size / 4), records);
    paint(cells, entries);
    layers.insert(layers.begin(), lab.layer(entries, size));
  }
  std::uint64_t size;
  Cells cells;
  LayerStack layers;
};

TEST(LayerStack, ShowsOfEveryByteWhatIsNewest) {
  for_random_trials(60, [](Dice& dice, LayerLab& lab, std::uint64_t& records) {
    const RandomStack stack(dice, lab, dice(1, 2000), records, 7);
    for (int i = 0; i < 6; ++i) {
      const std::uint64_t begin = i == 0 ? 0 : dice(0, stack.size);
      Cells got(stack.size);
      const auto visible = drain(*visible_entries(stack.layers, begin), stack.size);
      EXPECT_TRUE(visible.empty() || visible.front().extent.offset >= begin);
      paint(got, visible);
      Cells expected = stack.cells;
      std::fill_n(expected.begin(), begin, Cell{});
      ASSERT_TRUE(got == expected) << "from " << begin;
    }
  });
}

TEST(LayerStack, SkippingShowsTheSame) {
  for_random_trials(40, [](Dice& dice, LayerLab& lab, std::uint64_t& records) {
    const RandomStack stack(dice, lab, dice(1, 3000), records, 5);
    const auto source = visible_entries(stack.layers);
    std::uint64_t from = 0;
    LayerEntry entry;
    while (source->next(entry)) {
      Cells got(stack.size);
      paint(got, {entry});
      const std::uint64_t begin = std::max(from, entry.extent.offset);
      for (std::uint64_t at = from; at < begin; ++at) {
        ASSERT_EQ(stack.cells[at].is, Cell::Is::nothing) << at;
      }
      for (std::uint64_t at = begin; at < entry.extent.end(); ++at) {
        ASSERT_EQ(got[at], stack.cells[at]) << at;
      }
      from = entry.extent.end();
      if (dice(0, 2) == 0) {
        from = dice(from, stack.size);
        source->skip_to(from);
      }
    }
  });
}

TEST(LayerStack, MergedLayersShowTheSame) {
  for_random_trials(40, [](Dice& dice, LayerLab& lab, std::uint64_t& records) {
    RandomStack stack(dice, lab, dice(1, 2000), records, 7);
    while (stack.layers.size() > 1) {
      const std::size_t count = dice(2, stack.layers.size());
      const LayerStack upper(stack.layers.begin(),
                             stack.layers.begin() + static_cast<std::ptrdiff_t>(count));
      const auto merged = lab.open(lab.put(*visible_entries(upper), stack.size));
      stack.layers.erase(stack.layers.begin(),
                         stack.layers.begin() + static_cast<std::ptrdiff_t>(count));
      stack.layers.insert(stack.layers.begin(), merged);
      Cells got(stack.size);
      paint(got, drain(*visible_entries(stack.layers), stack.size));
      ASSERT_TRUE(got == stack.cells) << stack.layers.size() << " layers left";
    }
  });
}

/// A reader cannot tell what no layer covers from zero.
Cell seen(const Cell& cell) {
  return cell.is == Cell::Is::nothing ? Cell{Cell::Is::zero, 0, 0} : cell;
}

TEST(LayerStack, TellsExactlyWhereTwoDiffer) {
  for_random_trials(80, [](Dice& dice, LayerLab& lab, std::uint64_t& records) {
    const RandomStack base(dice, lab, dice(1, 1500), records, 4);
    RandomStack from = base;
    RandomStack to = base;
    for (std::uint64_t i = dice(0, 3); i > 0; --i) {
      from.add(dice, lab, records);
    }
    for (std::uint64_t i = dice(0, 3); i > 0; --i) {
      to.add(dice, lab, records);
    }
    if (dice(0, 3) == 0 && !to.layers.empty()) {  // as after merging: less is shared
      to.layers = {lab.open(lab.put(*visible_entries(to.layers), to.size))};
    }
    Cells told(base.size);
    std::uint64_t end = 0;
    std::optional<Extent> last;
    for (const Extent& extent : collect(*changed_extents(from.layers, to.layers))) {
      ASSERT_GE(extent.offset, end);
      ASSERT_TRUE(!last || last->end() < extent.offset || last->kind != extent.kind) << "joined";
      last = extent;
      end = extent.end();
      for (std::uint64_t at = extent.offset; at < end; ++at) {
        told[at].is = extent.kind == ExtentKind::zero ? Cell::Is::zero : Cell::Is::data;
      }
    }
    for (std::uint64_t at = 0; at < base.size; ++at) {
      const Cell before = seen(from.cells[at]);
      const Cell after = seen(to.cells[at]);
      ASSERT_EQ(told[at].is, before == after ? Cell::Is::nothing : after.is) << at;
    }
  });
}

TEST(LayerStack, DifferencesNeedNoLookAtWhatIsShared) {
  LayerLab lab;
  std::vector<LayerEntry> full;
  for (std::uint64_t i = 0; i < 30000; ++i) {
    LayerEntry entry;
    entry.extent = {i * 4096, 4096, ExtentKind::data};
    entry.id = sha256(bytes_of(std::to_string(i)));
    entry.place = {pack_named(1, static_cast<std::uint32_t>(i / 5000)), i * 3000, 3000};
    entry.plain = 4096;
    full.push_back(entry);
  }
  const std::uint64_t size = full.size() * 4096;
  const LayerStack from{lab.layer(full, size)};
  LayerEntry changed = full[15000];
  changed.id[0] ^= std::byte{1};
  LayerEntry same = full[15001];
  same.place.offset = 5;  // stored once more, and the same bytes
  const LayerStack to{lab.layer({changed, same}, size), from[0]};
  const std::uint64_t fetched = lab.store.fetched;
  EXPECT_EQ(collect(*changed_extents(from, to)), (std::vector<Extent>{changed.extent}));
  EXPECT_LE(lab.store.fetched - fetched, 400U << 10) << "two blocks of the layer they share";
}

TEST(LayerStack, GapsArePartOfNoExtent) {
  LayerLab lab;
  LayerEntry entry;
  entry.extent = {10, 5, ExtentKind::data};
  entry.place = {pack_named(1, 1), 0, 100};
  entry.plain = 5;
  LayerEntry next = entry;
  next.extent.offset = 15;
  LayerEntry zero;
  zero.extent = {40, 2, ExtentKind::zero};
  const LayerStack stack{lab.layer({entry, next, zero}, 50)};
  EXPECT_EQ(collect(*extents_of(visible_entries(stack))),
            (std::vector<Extent>{{10, 10, ExtentKind::data}, {40, 2, ExtentKind::zero}}));
  EXPECT_TRUE(collect(*extents_of(visible_entries({}))).empty());
}

TEST(LayersToMerge, KeepsEachFourTimesAsLargeAsTheOneAbove) {
  EXPECT_EQ(layers_to_merge(10, {}), 0U);
  EXPECT_EQ(layers_to_merge(10, {40}), 0U);
  EXPECT_EQ(layers_to_merge(10, {39}), 1U);
  EXPECT_EQ(layers_to_merge(10, {10, 80}), 1U);
  EXPECT_EQ(layers_to_merge(10, {10, 79, 10000}), 2U);
  EXPECT_EQ(layers_to_merge(0, {5}), 0U);
  EXPECT_EQ(layers_to_merge(0, {0, 0, 5}), 2U);
  EXPECT_EQ(layers_to_merge(10, {~std::uint64_t{0}, 5}), 0U);
  EXPECT_EQ(layers_to_merge(~std::uint64_t{0}, {~std::uint64_t{0}, 5}), 2U);
}

TEST(LayersToMerge, AThousandRunsMakeFewLayersAndWriteEachEntryAFewTimes) {
  std::deque<std::uint64_t> layers{1'000'000};
  std::uint64_t written = 0;
  std::size_t deepest = 0;
  for (int run = 0; run < 1000; ++run) {
    std::uint64_t entries = 1000;
    for (std::size_t left = layers_to_merge(entries, {layers.begin(), layers.end()}); left > 0;
         --left) {
      entries += layers.front();
      layers.pop_front();
    }
    layers.push_front(entries);
    written += entries;
    deepest = std::max(deepest, layers.size());
    for (std::size_t i = 0; i + 1 < layers.size(); ++i) {
      ASSERT_GE(layers[i + 1], 4 * layers[i]);
    }
  }
  EXPECT_LE(deepest, 7U);
  EXPECT_LE(written, 1000U * 1000 * 30) << "on average so many times";
}

}  // namespace
}  // namespace hamal::repository
