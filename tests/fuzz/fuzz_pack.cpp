// Takes arbitrary bytes for a pack, its header, a record and a key. What is accepted is told in
// order and within its bounds, and what is decoded has the content that its id names.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "hamal/repository/names.hpp"
#include "hamal/repository/pack.hpp"
#include "hamal/util/error.hpp"

namespace {

using namespace hamal::repository;

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

void decode(ByteView stored) {
  static const auto keyring = make_plain_keyring();
  static RecordDecoder decoder(*keyring, nullptr);
  const RecordHeader header = parse_record_header(stored, "fuzz");
  Bytes plain(header.plain_length);
  decoder.decode(stored, header.id, {}, "fuzz", plain);
  require(keyring->record_id(plain) == header.id);
}

/// A pack in which everything but the input itself is right.
Bytes pack_around(ByteView records) {
  PackBuilder builder({});
  builder.buffer().insert(builder.buffer().end(), records.begin(), records.end());
  builder.added();
  return builder.finish();
}

void scan(ByteView pack) {
  std::uint64_t next = pack_header_bytes(parse_pack_header(pack, "fuzz").size());
  scan_pack(pack, "fuzz", [&](std::uint64_t offset, const RecordHeader& header, ByteView stored) {
    require(offset == next);
    require(stored.size() == k_record_header_bytes + header.body_length);
    next = offset + stored.size();
    require(next <= pack.size());
  });
}

template <typename Parse>
void survive(const Parse& parse) {
  try {
    parse();
  } catch (const hamal::Error&) {
    return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes(reinterpret_cast<const std::byte*>(data), size);
  survive([&] { scan(bytes); });
  survive([&] { scan(pack_around(bytes)); });
  survive([&] { decode(bytes); });
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto pack = parse_pack_key(text)) {
    require(pack_key(*pack) == text);
  }
  if (const auto slot = parse_slot_key(text)) {
    require(slot_key(slot->vm, slot->generation) == text);
  }
  if (const auto name = unescape_key_part(text)) {
    require(escape_key_part(*name) == text);
  }
  require(escape_key_part(text).size() <= 160);
  return 0;
}
