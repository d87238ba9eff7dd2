// The parts of a layer (layer.hpp) as bytes. Private to the layer's writer and reader.
//
// A block, before it is sealed: length u32 of a zstd frame, the frame, then 32 bytes of id per data
// entry. In the frame: number of entries u32, then seven columns, each its length u32 and varints:
//   gap     since the end of the entry before (of the block's range, for the first)
//   length  times 2, plus 1 of a zero entry; the columns that follow are of data entries alone
//   pack    its place in the tail's list
//   offset  minus where the record before ended, zigzag, when that lies in the same pack, else
//           minus zero
//   stored  length of the record, header and body
//   plain   length of the record; 0: as long as the entry
//   skip
// Records of one run follow each other in their packs and are of one length: most columns are
// constant, and cost nothing once compressed.
//
// The tail, before it is compressed and sealed: disk size, entries, data bytes, zero bytes u64;
// number of packs, of blocks u32; per pack session 16 bytes, number u32, end of the
// last record that an entry names u64; per block begin, end of
// what it covers, place in the object u64, length as stored, entries u32, SHA-256 as stored.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "hamal/extent/totals.hpp"
#include "hamal/repository/layer.hpp"

namespace hamal::repository::layer_format {

inline constexpr std::string_view k_magic{"HAMALLY\x01", 8};
inline constexpr std::string_view k_end_magic{"HAMALLE\x01", 8};
/// Place u64 and length u64 of the tail, magic.
inline constexpr std::size_t k_footer_bytes = 24;
inline constexpr std::size_t k_block_entries = 4096;
/// What a block and a tail can never exceed: nothing larger is believed.
inline constexpr std::uint64_t k_max_block = 1U << 20;
inline constexpr std::uint64_t k_max_tail = 256U << 20;

struct BlockPlace {
  std::uint64_t begin = 0;  ///< of the disk, what its entries cover
  std::uint64_t end = 0;
  std::uint64_t place = 0;   ///< in the object
  std::uint32_t length = 0;  ///< as stored
  std::uint32_t entries = 0;
  Digest digest{};  ///< SHA-256, as stored
};

struct Tail {
  std::uint64_t disk_size = 0;
  ExtentTotals totals;
  std::vector<PackName> packs;
  std::vector<std::uint64_t> pack_ends;
  std::vector<BlockPlace> blocks;
};

/// What the keyring binds a part of a layer to.
std::string block_name(const std::string& key, std::size_t index);
std::string tail_name(const std::string& key);

/// `packs[i]` is the number of the pack of entries[i]; of zero entries it is ignored.
Bytes block_bytes(const std::vector<LayerEntry>& entries, const std::vector<std::uint32_t>& packs);
/// Throws a permanent Error about `object` for anything that block_bytes() never makes, or that
/// does not agree with `place`.
std::vector<LayerEntry> parse_block(ByteView bytes, const BlockPlace& place, const Tail& tail,
                                    const std::string& object);

Bytes tail_bytes(const Tail& tail);
/// Likewise. The blocks lie one after the other up to `place`, that of the tail.
Tail parse_tail(ByteView bytes, std::uint64_t place, const std::string& object);

/// What is wrong with an entry, as the rest of a sentence; null when nothing is.
const char* entry_problem(const LayerEntry& entry, std::uint64_t previous_end,
                          std::uint64_t disk_size) noexcept;

}  // namespace hamal::repository::layer_format
