// A record in the pack that is being built, and the entry of a layer that names it.
#pragma once
#include "hamal/repository/layer.hpp"
#include "hamal/repository/pack.hpp"

namespace hamal::repository {

/// `pack` is what `name` will hold; `plain` is what the disk holds at `offset`.
inline LayerEntry place_record(const Keyring& keyring, RecordEncoder& encoder, PackBuilder& pack,
                               const PackName& name, std::uint64_t offset, ByteView plain) {
  LayerEntry entry;
  entry.extent = {offset, plain.size(), ExtentKind::data};
  entry.id = keyring.record_id(plain);
  entry.plain = static_cast<std::uint32_t>(plain.size());
  entry.place = {name, pack.offset(), 0};
  encoder.encode(entry.id, plain, pack.buffer());
  entry.place.length = static_cast<std::uint32_t>(pack.offset() - entry.place.offset);
  pack.added();
  return entry;
}

}  // namespace hamal::repository
