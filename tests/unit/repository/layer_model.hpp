// A disk as one cell per byte, random layers over it, and layers put into a store of memory.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "hamal/repository/hash.hpp"
#include "hamal/repository/layer_stack.hpp"
#include "memory_store.hpp"
#include "naming_keyring.hpp"
#include "util/temporary_directory.hpp"

namespace hamal::repository {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : m_engine(seed) {}
  /// In [low, high].
  std::uint64_t operator()(std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>(low, high)(m_engine);
  }

 private:
  std::mt19937_64 m_engine;
};

/// What one byte of a disk is: not said, zero, or a byte of a record.
struct Cell {
  enum class Is : std::uint8_t { nothing, zero, data } is = Is::nothing;
  std::uint64_t record = 0;
  std::uint32_t at = 0;
  friend bool operator==(const Cell&, const Cell&) = default;
};
using Cells = std::vector<Cell>;

inline RecordId id_of(std::uint64_t record) {
  RecordId id{};
  for (unsigned i = 0; i < 8; ++i) {
    id[i] = static_cast<std::byte>(record >> (8 * i));
  }
  id[31] = std::byte{0x5a};
  return id;
}

inline std::uint64_t record_of(const RecordId& id) {
  std::uint64_t record = 0;
  for (unsigned i = 0; i < 8; ++i) {
    record |= std::to_integer<std::uint64_t>(id[i]) << (8 * i);
  }
  return record;
}

inline PackName pack_named(std::uint64_t seed, std::uint32_t number) {
  PackName pack;
  pack.session[0] = static_cast<std::byte>(seed);
  pack.session[15] = std::byte{1};
  pack.number = number;
  return pack;
}

/// Entries as a writer makes them: gaps, zeros, whole and cut records, some of them the same as
/// elsewhere. `first_record` counts on.
inline std::vector<LayerEntry> random_entries(Dice& dice, std::uint64_t size, std::uint64_t longest,
                                              std::uint64_t& first_record) {
  std::vector<LayerEntry> entries;
  const std::uint64_t widest_gap = dice(0, longest);
  std::uint64_t at = dice(0, widest_gap);
  while (at < size) {
    LayerEntry entry;
    entry.extent = {at, std::min(dice(1, longest), size - at), ExtentKind::data};
    if (dice(0, 3) == 0) {
      entry.extent.kind = ExtentKind::zero;
    } else {
      entry.skip = dice(0, 4) == 0 ? static_cast<std::uint32_t>(dice(0, 100)) : 0;
      entry.plain = static_cast<std::uint32_t>(entry.skip + entry.extent.length +
                                               (dice(0, 4) == 0 ? dice(0, 100) : 0));
      const std::uint64_t record =
          first_record > 0 && dice(0, 5) == 0 ? dice(0, first_record - 1) : first_record++;
      entry.id = id_of(record);
      entry.place.pack = pack_named(record / 1000, static_cast<std::uint32_t>(record / 100));
      entry.place.offset = record * 300;
      entry.place.length = k_record_header_bytes + 1 + static_cast<std::uint32_t>(record % 200);
    }
    entries.push_back(entry);
    at = entry.extent.end() + (dice(0, 2) == 0 ? 0 : dice(0, widest_gap));
  }
  return entries;
}

inline void paint(Cells& cells, const std::vector<LayerEntry>& entries) {
  for (const LayerEntry& entry : entries) {
    for (std::uint64_t i = 0; i < entry.extent.length; ++i) {
      Cell& cell = cells[entry.extent.offset + i];
      if (entry.extent.kind == ExtentKind::zero) {
        cell = {Cell::Is::zero, 0, 0};
      } else {
        cell = {Cell::Is::data, record_of(entry.id), static_cast<std::uint32_t>(entry.skip + i)};
      }
    }
  }
}

/// Drains a source and checks every promise of EntrySource on the way.
inline std::vector<LayerEntry> drain(EntrySource& source, std::uint64_t size) {
  std::vector<LayerEntry> all;
  LayerEntry entry;
  std::uint64_t end = 0;
  while (source.next(entry)) {
    EXPECT_GE(entry.extent.offset, end);
    EXPECT_GT(entry.extent.length, 0U);
    EXPECT_LE(entry.extent.end(), size);
    if (entry.extent.kind == ExtentKind::data) {
      EXPECT_LE(entry.skip + entry.extent.length, entry.plain);
    }
    end = entry.extent.end();
    all.push_back(entry);
  }
  EXPECT_FALSE(source.next(entry)) << "a source must stay at its end";
  return all;
}

/// Layers written to a file and put into a store of memory.
class LayerLab {
 public:
  LayerReference put(std::vector<LayerEntry> entries, std::uint64_t size) {
    const auto source = vector_entries(std::move(entries));
    return put(*source, size);
  }
  LayerReference put(EntrySource& source, std::uint64_t size) {
    const std::string key = layer_name(m_layers++);
    const auto path = m_directory / "layer";
    const LayerReference reference = write_layer(path, key, size, keyring, source);
    std::ifstream in(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    store.put(key, bytes_of(bytes));
    EXPECT_EQ(reference.bytes, bytes.size());
    return reference;
  }
  std::shared_ptr<Layer> open(const LayerReference& reference) {
    return Layer::open(store, keyring, reference);
  }
  std::shared_ptr<Layer> layer(std::vector<LayerEntry> entries, std::uint64_t size) {
    return open(put(std::move(entries), size));
  }
  static std::string layer_name(unsigned number) { return "layers/x/0-" + std::to_string(number); }

  test::MemoryStore store;
  NamingKeyring keyring;

 private:
  test::TemporaryDirectory m_directory;
  unsigned m_layers = 0;
};

}  // namespace hamal::repository
