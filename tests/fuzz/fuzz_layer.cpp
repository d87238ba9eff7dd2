// Parses arbitrary bytes as the tail and as a block of a layer, once as they are and once behind
// the compression: what is accepted keeps the promises of entries, and survives being written
// again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "hamal/repository/index_bytes.hpp"
#include "hamal/repository/index_zstd.hpp"
#include "hamal/repository/layer_format.hpp"
#include "hamal/util/error.hpp"

namespace {

using namespace hamal::repository;  // NOLINT(google-build-using-namespace): a program of its own
using namespace layer_format;

const std::string k_object = "fuzz";

void try_tail(ByteView bytes) {
  try {
    // The place that the footer would say: where the blocks of the input's own list end.
    std::uint64_t place = k_magic.size();
    ByteParser parser(bytes, k_object);
    parser.take(32);
    const auto packs = parser.number<std::uint32_t>();
    const auto blocks = parser.number<std::uint32_t>();
    parser.take(packs * std::uint64_t{28});
    for (std::uint32_t i = 0; i < blocks; ++i) {
      parser.take(24);
      place += parser.number<std::uint32_t>();
      parser.take(36);
    }
    const Tail tail = parse_tail(bytes, place, k_object);
    if (tail_bytes(tail) != Bytes(bytes.begin(), bytes.end())) {
      std::abort();
    }
  } catch (const hamal::Error&) {
    return;
  }
}

void try_block(ByteView bytes, const BlockPlace& place, const Tail& tail) {
  try {
    std::uint64_t end = place.begin;
    std::vector<std::uint32_t> packs;
    const auto entries = parse_block(bytes, place, tail, k_object);
    for (const LayerEntry& entry : entries) {
      if (entry_problem(entry, end, place.end) != nullptr) {
        std::abort();
      }
      end = entry.extent.end();
      std::uint32_t pack = 0;
      while (entry.extent.kind == hamal::ExtentKind::data && tail.packs[pack] != entry.place.pack) {
        ++pack;
      }
      packs.push_back(pack);
    }
    if (parse_block(block_bytes(entries, packs), place, tail, k_object) != entries) {
      std::abort();
    }
  } catch (const hamal::Error&) {
    return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes = std::as_bytes(std::span(data, size));
  try_tail(bytes);
  if (size < 4) {
    return 0;
  }
  Tail tail;
  tail.disk_size = 1U << 20;
  for (std::uint32_t i = 0; i < 3; ++i) {
    tail.packs.push_back({{}, i});
    tail.pack_ends.push_back(0);
  }
  BlockPlace place;
  place.begin = data[0] * 16ULL;
  place.end = place.begin + data[1] * 256ULL;
  place.entries = data[2];
  try_block(bytes.subspan(3), place, tail);
  // The number of entries as the place says it, then columns from the input.
  Bytes table;
  append_number(table, place.entries);
  const std::size_t ids = std::min<std::size_t>(place.entries * std::size_t{32}, (size - 4) / 2);
  append_bytes(table, bytes.subspan(4, size - 4 - ids));
  const Bytes frame = compress(table);
  Bytes block;
  append_number(block, static_cast<std::uint32_t>(frame.size()));
  append_bytes(block, frame);
  append_bytes(block, bytes.last(ids));
  try_block(block, place, tail);
  return 0;
}
