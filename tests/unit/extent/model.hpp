// A disk as one byte per byte: what the extent operations are checked against.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "hamal/extent/sources.hpp"
#include "hamal/extent/validate.hpp"

namespace hamal::test {

enum class Cell : std::uint8_t { nothing, data, zero };
using Model = std::vector<Cell>;

inline Cell cell_of(ExtentKind kind) {
  return kind == ExtentKind::data ? Cell::data : Cell::zero;
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : m_engine(seed) {}
  /// In [low, high].
  std::uint64_t operator()(std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>(low, high)(m_engine);
  }

 private:
  std::mt19937_64 m_engine;
};

inline std::vector<Extent> random_extents(Random& random, std::uint64_t size) {
  std::vector<Extent> extents;
  const std::uint64_t longest = random(1, 1 + size / 2);
  const std::uint64_t widest_gap = random(0, longest);
  std::uint64_t offset = random(0, widest_gap);
  while (offset < size) {
    const std::uint64_t length = std::min(random(1, longest), size - offset);
    extents.push_back({offset, length, random(0, 1) == 0 ? ExtentKind::data : ExtentKind::zero});
    // Adjacent extents must be common, of both kinds.
    offset += length + (random(0, 2) == 0 ? 0 : random(0, widest_gap));
  }
  return extents;
}

inline ExtentSourcePtr windowed(Random& random, std::vector<Extent> extents) {
  return vector_source(std::move(extents), random(0, 2) == 0 ? 1 : random(1, 9));
}

inline Model paint(const std::vector<Extent>& extents, std::uint64_t size) {
  Model model(size, Cell::nothing);
  for (const Extent& extent : extents) {
    std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(extent.offset), extent.length,
                cell_of(extent.kind));
  }
  return model;
}

inline std::string show(const Model& model) {
  std::string text;
  for (const Cell cell : model) {
    text += cell == Cell::nothing ? '.' : cell == Cell::data ? 'D' : 'z';
  }
  return text;
}

/// Drains a source of a disk of `size` bytes and checks every promise of ExtentSource on the way.
inline std::vector<Extent> drain(ExtentSource& source, std::uint64_t size) {
  std::vector<Extent> all;
  std::vector<Extent> window;
  Extent previous{};
  while (source.next(window)) {
    EXPECT_FALSE(window.empty());
    EXPECT_LE(window.size(), ExtentSource::k_window_extents);
    for (const Extent& extent : window) {
      const auto problem = extent_problem(extent, previous.offset, previous.end(), size);
      EXPECT_FALSE(problem.has_value()) << describe(extent) << " " << problem.value_or("");
      if (problem) {
        return all;
      }
      previous = extent;
      all.push_back(extent);
    }
  }
  EXPECT_TRUE(window.empty());
  EXPECT_FALSE(source.next(window)) << "a source must stay at its end";
  return all;
}

}  // namespace hamal::test
