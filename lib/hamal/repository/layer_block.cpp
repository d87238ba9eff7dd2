// Entries as columns of bytes, and back.
#include <array>

#include "hamal/extent/validate.hpp"
#include "hamal/repository/index_bytes.hpp"
#include "hamal/repository/index_zstd.hpp"
#include "hamal/repository/layer_format.hpp"

namespace hamal::repository::layer_format {
namespace {

enum Column : std::size_t { gap, length, pack, offset, stored, plain, skip, k_columns };

/// Where the next record of the same pack is expected.
struct Expected {
  std::uint32_t pack = 0;
  std::uint64_t offset = 0;

  std::uint64_t at(std::uint32_t wanted) const noexcept { return wanted == pack ? offset : 0; }
  void follow(std::uint32_t of, const RecordPlace& place) noexcept {
    pack = of;
    offset = place.offset + place.length;
  }
};

/// A number of a column that must fit into 32 bits.
std::uint32_t small(ByteParser& column) {
  const std::uint64_t value = column.varint();
  if (value > 0xffffffffU) {
    column.refuse("is damaged: holds a length of more than 32 bits");
  }
  return static_cast<std::uint32_t>(value);
}

/// The columns of one block, read in step.
class BlockParser {
 public:
  BlockParser(ByteParser& table, ByteView ids, const BlockPlace& place, const Tail& tail,
              const std::string& object)
      : m_columns{column(table, object), column(table, object), column(table, object),
                  column(table, object), column(table, object), column(table, object),
                  column(table, object)},
        m_ids(ids, object),
        m_tail(tail),
        m_end(place.begin),
        m_last(place.end) {}

  LayerEntry entry() {
    LayerEntry entry;
    // Neither sum can wrap unnoticed: entry_problem() compares with the disk's end first.
    const std::uint64_t distance = m_columns[gap].varint();
    const std::uint64_t head = m_columns[length].varint();
    if (distance > k_max_disk_size || m_end + distance > k_max_disk_size) {
      m_columns[gap].refuse("is damaged: an entry lies outside of its block");
    }
    entry.extent = {m_end + distance, head >> 1,
                    (head & 1) != 0 ? ExtentKind::zero : ExtentKind::data};
    if (entry.extent.kind == ExtentKind::data) {
      take_record(entry);
    }
    if (const char* problem = entry_problem(entry, m_end, m_last); problem != nullptr) {
      m_columns[gap].refuse(std::string("is damaged: an entry ") + problem);
    }
    m_end = entry.extent.end();
    return entry;
  }
  void finish() {
    for (const ByteParser& column : m_columns) {
      if (column.left() != 0) {
        column.refuse("is damaged: a block holds more than its entries");
      }
    }
    if (m_ids.left() != 0 || m_end != m_last) {
      m_ids.refuse("is damaged: a block does not cover what the tail says");
    }
  }

 private:
  static ByteParser column(ByteParser& table, const std::string& object) {
    const auto size = table.number<std::uint32_t>();
    return {table.take(size), object};
  }
  void take_record(LayerEntry& entry) {
    const std::uint32_t index = small(m_columns[pack]);
    if (index >= m_tail.packs.size()) {
      m_columns[pack].refuse("is damaged: an entry names a pack that the tail does not");
    }
    entry.place.pack = m_tail.packs[index];
    entry.place.offset = m_expected.at(index) + unzigzag(m_columns[offset].varint());
    entry.place.length = small(m_columns[stored]);
    entry.plain = small(m_columns[plain]);
    if (entry.plain == 0) {
      entry.plain =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(entry.extent.length, 0xffffffffU));
    }
    entry.skip = small(m_columns[skip]);
    entry.id = m_ids.array<RecordId>();
    m_expected.follow(index, entry.place);
  }

  std::array<ByteParser, k_columns> m_columns;
  ByteParser m_ids;
  const Tail& m_tail;
  Expected m_expected;
  std::uint64_t m_end;
  std::uint64_t m_last;
};

}  // namespace

const char* entry_problem(const LayerEntry& entry, std::uint64_t previous_end,
                          std::uint64_t disk_size) noexcept {
  const Extent& extent = entry.extent;
  if (extent.length == 0) {
    return "is empty";
  }
  if (extent.offset < previous_end) {
    return "overlaps the one before";
  }
  if (extent.offset > disk_size || extent.length > disk_size - extent.offset) {
    return "lies outside of the disk";
  }
  if (extent.kind == ExtentKind::zero) {
    return nullptr;
  }
  if (entry.plain == 0 || entry.plain > k_record_bytes) {
    return "has a record of an impossible length";
  }
  if (extent.length > entry.plain || entry.skip > entry.plain - extent.length) {
    return "is more than its record holds";
  }
  if (entry.place.length <= k_record_header_bytes || entry.place.length > k_max_block ||
      entry.place.offset > k_max_disk_size) {
    return "has a record at an impossible place";
  }
  return nullptr;
}

Bytes block_bytes(const std::vector<LayerEntry>& entries, const std::vector<std::uint32_t>& packs) {
  std::array<Bytes, k_columns> columns;
  Bytes ids;
  Expected expected;
  std::uint64_t end = entries.empty() ? 0 : entries.front().extent.offset;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const LayerEntry& entry = entries[i];
    const bool is_zero = entry.extent.kind == ExtentKind::zero;
    append_varint(columns[gap], entry.extent.offset - end);
    append_varint(columns[length], entry.extent.length * 2 + (is_zero ? 1 : 0));
    end = entry.extent.end();
    if (is_zero) {
      continue;
    }
    append_varint(columns[pack], packs[i]);
    append_varint(columns[offset], zigzag(entry.place.offset - expected.at(packs[i])));
    append_varint(columns[stored], entry.place.length);
    append_varint(columns[plain], entry.plain == entry.extent.length ? 0 : entry.plain);
    append_varint(columns[skip], entry.skip);
    append_bytes(ids, entry.id);
    expected.follow(packs[i], entry.place);
  }
  Bytes table;
  append_number(table, static_cast<std::uint32_t>(entries.size()));
  for (const Bytes& column : columns) {
    append_number(table, static_cast<std::uint32_t>(column.size()));
    append_bytes(table, column);
  }
  // The ids are hashes: compressing them would cost time and save nothing.
  const Bytes frame = compress(table);
  Bytes block;
  append_number(block, static_cast<std::uint32_t>(frame.size()));
  append_bytes(block, frame);
  append_bytes(block, ids);
  return block;
}

std::vector<LayerEntry> parse_block(ByteView bytes, const BlockPlace& place, const Tail& tail,
                                    const std::string& object) {
  ByteParser block(bytes, object);
  const auto frame = block.take(block.number<std::uint32_t>());
  const Bytes table_bytes = decompress(frame, k_max_block, object);
  ByteParser table(table_bytes, object);
  const auto count = table.number<std::uint32_t>();
  if (count != place.entries) {
    table.refuse("is damaged: a block has not as many entries as the tail says");
  }
  BlockParser parser(table, block.take(block.left()), place, tail, object);
  if (table.left() != 0) {
    table.refuse("is damaged: a block holds more than its columns");
  }
  std::vector<LayerEntry> entries;
  entries.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    entries.push_back(parser.entry());
  }
  parser.finish();
  return entries;
}

}  // namespace hamal::repository::layer_format
