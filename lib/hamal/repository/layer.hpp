// A layer: what one run changed on one disk, or several such layers merged: ranges of the disk,
// each zero or (part of) a record (hamal-repository(5), LAYERS).
//
//   header  magic "HAMALLY\x01"
//   blocks  up to 4096 entries each, their numbers compressed, sealed as the keyring does
//   tail    disk size, counts, the packs that entries name, per block its range, place and SHA-256;
//           zstd, sealed
//   footer  place and length of the tail, magic "HAMALLE\x01"
// The manifest names the layer with the SHA-256 of its tail, the tail has those of the blocks, and
// what lies where leaves no gap: every byte is covered, and a reader fetches only the blocks it
// needs. The bytes themselves: layer_format.hpp.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hamal/extent/extent.hpp"
#include "hamal/extent/totals.hpp"
#include "hamal/repository/keyring.hpp"
#include "hamal/repository/record.hpp"
#include "hamal/store/object_store.hpp"

namespace hamal::repository {

/// A range of a disk and what is there: zeros, or the bytes [skip, skip + length) of a record.
struct LayerEntry {
  Extent extent;
  RecordPlace place;        ///< of data
  RecordId id{};            ///< of data
  std::uint32_t plain = 0;  ///< bytes of the whole record, plain
  std::uint32_t skip = 0;   ///< of it that lie before the range
  friend bool operator==(const LayerEntry&, const LayerEntry&) = default;
};

/// Ascending, disjoint, non-empty entries; a lazy sequence like ExtentSource.
class EntrySource {
 public:
  virtual ~EntrySource() = default;
  /// False at the end.
  virtual bool next(LayerEntry& entry) = 0;
  /// Entries that end at or before `offset` need not be told any more (they still may be).
  virtual void skip_to(std::uint64_t offset) { static_cast<void>(offset); }
};
using EntrySourcePtr = std::unique_ptr<EntrySource>;

/// The entries of a vector, which must keep the promises of EntrySource.
EntrySourcePtr vector_entries(std::vector<LayerEntry> entries);

/// How a manifest names a layer.
struct LayerReference {
  std::string key;
  std::uint64_t bytes = 0;  ///< of the object
  Digest digest{};          ///< SHA-256 of the tail as stored
  std::uint64_t entries = 0;
  friend bool operator==(const LayerReference&, const LayerReference&) = default;
};

/// Writes a layer into a local file (memory: one block and the tables); not flushed. Entries that
/// go on where the one before ends, in the same record or with zeros, become one. Throws
/// std::logic_error for entries that break the promises of EntrySource.
LayerReference write_layer(const std::filesystem::path& path, const std::string& key,
                           std::uint64_t disk_size, const Keyring& keyring, EntrySource& entries);

/// A layer in the store. Thread-safe; keeps a bounded number of decoded blocks.
class Layer {
 public:
  /// Fetches and checks the tail; a small layer whole. Store and keyring must outlive it. Throws
  /// ObjectMissing; a permanent Error when it is not what the reference says.
  static std::shared_ptr<Layer> open(ObjectStore& store, const Keyring& keyring,
                                     const LayerReference& reference);
  virtual ~Layer() = default;
  virtual const LayerReference& reference() const noexcept = 0;
  virtual std::uint64_t disk_size() const noexcept = 0;
  /// Bytes that its entries cover, by kind.
  virtual const ExtentTotals& totals() const noexcept = 0;
  /// Every pack that an entry names, ascending.
  virtual const std::vector<PackName>& packs() const noexcept = 0;
  /// Calls each(pack, end) for all of them: up to `end` they hold records that entries name, so
  /// that whoever reads many may read ahead. None where that is not known.
  virtual void pack_ends(const std::function<void(const PackName&, std::uint64_t)>& each) const {
    static_cast<void>(each);
  }
  /// The entries that end after `begin`, in order. The source keeps the layer alive. Damage is a
  /// permanent Error of next(), before any entry of the damaged block is told.
  virtual EntrySourcePtr entries(std::uint64_t begin = 0) = 0;
};

}  // namespace hamal::repository
