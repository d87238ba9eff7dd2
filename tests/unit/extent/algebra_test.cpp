// Every extent operation against a byte-per-byte model, thousands of random cases.
#include "hamal/extent/algebra.hpp"

#include <random>

#include "model.hpp"

namespace hamal::test {
namespace {

constexpr int k_cases = 4000;

/// Calls `check` with fresh seeds; a failure prints the seed that repeats it.
template <typename Check>
void for_random_cases(Check check) {
  std::random_device device;
  const std::uint64_t first = (std::uint64_t{device()} << 32) | device();
  for (int i = 0; i < k_cases; ++i) {
    const std::uint64_t seed = first + static_cast<std::uint64_t>(i);
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    check(random, random(1, 200));
    if (testing::Test::HasFailure()) {
      return;
    }
  }
}

void expect_model(const Model& expected, ExtentSource& source) {
  EXPECT_EQ(show(paint(drain(source, expected.size()), expected.size())), show(expected));
}

TEST(ExtentAlgebra, UniteTakesTheKindOfTheLater) {
  for_random_cases([](Random& random, std::uint64_t size) {
    const auto earlier = random_extents(random, size);
    const auto later = random_extents(random, size);
    Model expected = paint(earlier, size);
    const Model over = paint(later, size);
    for (std::size_t i = 0; i < size; ++i) {
      expected[i] = over[i] == Cell::nothing ? expected[i] : over[i];
    }
    expect_model(expected, *unite(windowed(random, earlier), windowed(random, later)));
  });
}

TEST(ExtentAlgebra, IntersectTakesTheKindOfTheChosen) {
  for_random_cases([](Random& random, std::uint64_t size) {
    const auto first = random_extents(random, size);
    const auto second = random_extents(random, size);
    const KindOf kind = random(0, 1) == 0 ? KindOf::first : KindOf::second;
    Model expected = paint(first, size);
    const Model other = paint(second, size);
    for (std::size_t i = 0; i < size; ++i) {
      if (expected[i] == Cell::nothing || other[i] == Cell::nothing) {
        expected[i] = Cell::nothing;
      } else if (kind == KindOf::second) {
        expected[i] = other[i];
      }
    }
    expect_model(expected, *intersect(windowed(random, first), windowed(random, second), kind));
  });
}

TEST(ExtentAlgebra, SubtractKeepsWhatTheOtherDoesNotCover) {
  for_random_cases([](Random& random, std::uint64_t size) {
    const auto from = random_extents(random, size);
    const auto what = random_extents(random, size);
    Model expected = paint(from, size);
    const Model removed = paint(what, size);
    for (std::size_t i = 0; i < size; ++i) {
      expected[i] = removed[i] == Cell::nothing ? expected[i] : Cell::nothing;
    }
    expect_model(expected, *subtract(windowed(random, from), windowed(random, what)));
  });
}

TEST(ExtentAlgebra, AlignIsZeroOnlyWhereTheWholeBlockIs) {
  for_random_cases([](Random& random, std::uint64_t size) {
    const auto extents = random_extents(random, size);
    const std::uint64_t granularity = random(1, 40);
    const Model before = paint(extents, size);
    Model expected(size, Cell::nothing);
    for (std::size_t block = 0; block < size; block += granularity) {
      const auto from = before.begin() + static_cast<std::ptrdiff_t>(block);
      const auto length = static_cast<std::ptrdiff_t>(std::min(granularity, size - block));
      const bool nothing = std::count(from, from + length, Cell::nothing) == length;
      const bool zero = std::count(from, from + length, Cell::zero) == length;
      std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(block), length,
                  nothing ? Cell::nothing
                  : zero  ? Cell::zero
                          : Cell::data);
    }
    expect_model(expected, *align(windowed(random, extents), granularity, size));
  });
}

TEST(ExtentAlgebra, ClipKeepsTheInside) {
  for_random_cases([](Random& random, std::uint64_t size) {
    const auto extents = random_extents(random, size);
    const std::uint64_t begin = random(0, size);
    const std::uint64_t end = random(0, size + 10);
    Model expected = paint(extents, size);
    for (std::size_t i = 0; i < size; ++i) {
      expected[i] = i >= begin && i < end ? expected[i] : Cell::nothing;
    }
    expect_model(expected, *clip(windowed(random, extents), begin, end));
  });
}

TEST(ExtentAlgebra, CoalesceJoinsAndChangesNothing) {
  for_random_cases([](Random& random, std::uint64_t size) {
    const auto extents = random_extents(random, size);
    auto source = coalesce(windowed(random, extents));
    const auto joined = drain(*source, size);
    EXPECT_EQ(show(paint(joined, size)), show(paint(extents, size)));
    for (std::size_t i = 1; i < joined.size(); ++i) {
      EXPECT_FALSE(joined[i].offset == joined[i - 1].end() && joined[i].kind == joined[i - 1].kind);
    }
  });
}

TEST(ExtentAlgebra, CoalesceBridgesOnlyShortGapsBetweenData) {
  for_random_cases([](Random& random, std::uint64_t size) {
    const auto extents = random_extents(random, size);
    const std::uint64_t max_gap = random(0, 12);
    Model expected = paint(extents, size);
    for (std::size_t i = 1; i < extents.size(); ++i) {
      const Extent& left = extents[i - 1];
      const Extent& right = extents[i];
      if (left.kind == ExtentKind::data && right.kind == ExtentKind::data &&
          right.offset - left.end() <= max_gap) {
        std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(left.end()),
                    right.offset - left.end(), Cell::data);
      }
    }
    expect_model(expected, *coalesce(windowed(random, extents), max_gap));
  });
}

TEST(ExtentAlgebra, FillGapsCoversTheDisk) {
  for_random_cases([](Random& random, std::uint64_t size) {
    const auto extents = random_extents(random, size);
    const std::uint64_t shown = random(1, size);
    Model expected = paint(extents, size);
    expected.resize(shown);
    std::replace(expected.begin(), expected.end(), Cell::nothing, Cell::zero);
    expect_model(expected, *fill_gaps(windowed(random, extents), shown));
  });
}

TEST(ExtentAlgebra, ChangedRangesKnowWhatIsAllocated) {
  const auto dirty = [] { return vector_source({{0, 100, ExtentKind::data}}); };
  const auto allocation = [] {
    return vector_source({{0, 30, ExtentKind::data}, {30, 170, ExtentKind::zero}});
  };
  const std::vector<Extent> expected{{0, 30, ExtentKind::data}, {30, 70, ExtentKind::zero}};
  EXPECT_EQ(collect(*intersect(dirty(), allocation(), KindOf::second)), expected);
}

TEST(ExtentAlgebra, WorksAtTheEndOfTheLargestDisk) {
  const std::uint64_t size = k_max_disk_size;
  const std::vector<Extent> last{{size - 5, 5, ExtentKind::zero}};
  EXPECT_EQ(collect(*align(vector_source(last), 4096, size)),
            (std::vector<Extent>{{size - 4095, 4095, ExtentKind::data}}));
  EXPECT_EQ(collect(*fill_gaps(vector_source(last), size)).size(), 2U);
  EXPECT_EQ(collect(*unite(whole_disk(size, ExtentKind::data), vector_source(last))).size(), 2U);
}

TEST(ExtentAlgebra, NothingInNothingOut) {
  EXPECT_TRUE(collect(*unite(empty_source(), empty_source())).empty());
  EXPECT_TRUE(collect(*align(empty_source(), 512, 4096)).empty());
  EXPECT_TRUE(collect(*fill_gaps(empty_source(), 0)).empty());
  EXPECT_TRUE(collect(*whole_disk(0, ExtentKind::zero)).empty());
}

/// Counts what is alive of it: an operation that kept a whole list would ask for all of it at once.
class Endless final : public ExtentSource {
 public:
  bool next(std::vector<Extent>& window) override {
    window.assign(k_window_extents, {});
    for (Extent& extent : window) {
      extent = {m_offset, 512, ExtentKind::data};
      m_offset += 1024;
    }
    return true;
  }

 private:
  std::uint64_t m_offset = 0;
};

TEST(ExtentAlgebra, IsLazyOnEndlessSources) {
  auto source = align(coalesce(unite(std::make_unique<Endless>(), std::make_unique<Endless>())),
                      512, std::uint64_t{1} << 62);
  std::vector<Extent> window;
  ASSERT_TRUE(source->next(window));
  EXPECT_EQ(window.size(), ExtentSource::k_window_extents);
}

}  // namespace
}  // namespace hamal::test
