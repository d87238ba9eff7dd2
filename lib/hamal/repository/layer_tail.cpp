// The tail of a layer as bytes, and back.
#include "hamal/extent/validate.hpp"
#include "hamal/repository/index_bytes.hpp"
#include "hamal/repository/layer_format.hpp"

namespace hamal::repository::layer_format {
namespace {

constexpr std::uint64_t k_pack_bytes_in_tail = 28;
constexpr std::uint64_t k_block_bytes_in_tail = 64;

BlockPlace parse_place(ByteParser& parser) {
  BlockPlace block;
  block.begin = parser.number<std::uint64_t>();
  block.end = parser.number<std::uint64_t>();
  block.place = parser.number<std::uint64_t>();
  block.length = parser.number<std::uint32_t>();
  block.entries = parser.number<std::uint32_t>();
  block.digest = parser.array<Digest>();
  return block;
}

}  // namespace

std::string block_name(const std::string& key, std::size_t index) {
  return key + "#" + std::to_string(index);
}

std::string tail_name(const std::string& key) {
  return key + "#tail";
}

Bytes tail_bytes(const Tail& tail) {
  Bytes bytes;
  append_number(bytes, tail.disk_size);
  append_number(bytes, tail.totals.extents);
  append_number(bytes, tail.totals.data_bytes);
  append_number(bytes, tail.totals.zero_bytes);
  append_number(bytes, static_cast<std::uint32_t>(tail.packs.size()));
  append_number(bytes, static_cast<std::uint32_t>(tail.blocks.size()));
  for (std::size_t i = 0; i < tail.packs.size(); ++i) {
    append_bytes(bytes, tail.packs[i].session);
    append_number(bytes, tail.packs[i].number);
    append_number(bytes, tail.pack_ends[i]);
  }
  for (const BlockPlace& block : tail.blocks) {
    append_number(bytes, block.begin);
    append_number(bytes, block.end);
    append_number(bytes, block.place);
    append_number(bytes, block.length);
    append_number(bytes, block.entries);
    append_bytes(bytes, block.digest);
  }
  return bytes;
}

Tail parse_tail(ByteView bytes, std::uint64_t place, const std::string& object) {
  ByteParser parser(bytes, object);
  Tail tail;
  tail.disk_size = parser.number<std::uint64_t>();
  tail.totals.extents = parser.number<std::uint64_t>();
  tail.totals.data_bytes = parser.number<std::uint64_t>();
  tail.totals.zero_bytes = parser.number<std::uint64_t>();
  const auto packs = parser.number<std::uint32_t>();
  const auto blocks = parser.number<std::uint32_t>();
  if (tail.disk_size > k_max_disk_size ||
      parser.left() != packs * k_pack_bytes_in_tail + blocks * k_block_bytes_in_tail) {
    parser.refuse("is damaged: its tail is not as long as it says");
  }
  tail.packs.reserve(packs);
  for (std::uint32_t i = 0; i < packs; ++i) {
    PackName pack;
    pack.session = parser.array<SessionId>();
    pack.number = parser.number<std::uint32_t>();
    tail.packs.push_back(pack);
    tail.pack_ends.push_back(parser.number<std::uint64_t>());
  }
  tail.blocks.reserve(blocks);
  std::uint64_t at = k_magic.size();
  std::uint64_t end = 0;
  std::uint64_t entries = 0;
  for (std::uint32_t i = 0; i < blocks; ++i) {
    const BlockPlace block = parse_place(parser);
    if (block.begin < end || block.end <= block.begin || block.end > tail.disk_size ||
        block.entries == 0 || block.entries > k_block_entries || block.length > k_max_block ||
        block.place != at) {
      parser.refuse("is damaged: its tail lists blocks that cannot be");
    }
    at += block.length;
    end = block.end;
    entries += block.entries;
    tail.blocks.push_back(block);
  }
  if (at != place || entries != tail.totals.extents) {
    parser.refuse("is damaged: its blocks are not as many or as long as its tail says");
  }
  return tail;
}

}  // namespace hamal::repository::layer_format
