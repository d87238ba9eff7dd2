// compactions/N: magic "HAMALMV\x01", 32 bytes that authenticate what follows under the object's
// key, then, sealed and compressed: session 16 bytes; number of old packs u32; per old pack, in
// ascending order: session 16 bytes, number u32, number of records u32, and per record varints:
// offset in the old pack (less that of the record before), number of the new pack, offset there.
#include "hamal/repository/moved.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "hamal/repository/hash.hpp"
#include "hamal/repository/index_bytes.hpp"
#include "hamal/repository/index_zstd.hpp"
#include "hamal/repository/manifest.hpp"
#include "hamal/util/error.hpp"

namespace hamal::repository {
namespace {

constexpr std::string_view k_magic("HAMALMV\x01", 8);
// Four million records, of at most 15 bytes each, and their packs: compaction.hpp.
constexpr std::uint64_t k_max_plain = 192U << 20;
constexpr std::uint64_t k_max_object = k_max_plain + (1U << 20);
constexpr std::size_t k_least_pack_bytes = 24 + 3;

Bytes plain_bytes(const Compaction& compaction) {
  Bytes bytes;
  append_bytes(bytes, compaction.session);
  append_number(bytes, static_cast<std::uint32_t>(compaction.packs.size()));
  for (const auto& [pack, records] : compaction.packs) {
    append_bytes(bytes, pack.session);
    append_number(bytes, pack.number);
    append_number(bytes, static_cast<std::uint32_t>(records.size()));
    std::uint32_t before = 0;
    for (const MovedRecord& record : records) {
      append_varint(bytes, record.from - before);
      append_varint(bytes, record.to_pack);
      append_varint(bytes, record.to);
      before = record.from;
    }
  }
  return bytes;
}

std::uint32_t small_number(ByteParser& parser) {
  const std::uint64_t number = parser.varint();
  if (number > std::numeric_limits<std::uint32_t>::max()) {
    parser.refuse("is damaged: it names a place that cannot be");
  }
  return static_cast<std::uint32_t>(number);
}

std::vector<MovedRecord> parse_records(ByteParser& parser, const PackName& pack,
                                       const SessionId& session) {
  const auto count = parser.number<std::uint32_t>();
  if (count == 0 || count > parser.left() / 3 || pack.session == session) {
    parser.refuse("is damaged: it moves what cannot be moved");
  }
  std::vector<MovedRecord> records(count);
  std::uint64_t from = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::uint32_t step = small_number(parser);
    from += step;
    if ((i > 0 && step == 0) || from > std::numeric_limits<std::uint32_t>::max()) {
      parser.refuse("is damaged: its records are not in order");
    }
    records[i] = {static_cast<std::uint32_t>(from), small_number(parser), small_number(parser)};
  }
  return records;
}

}  // namespace

std::string to_bytes(const Compaction& compaction, const std::string& key, const Keyring& keyring) {
  const Bytes sealed = keyring.seal_index(compress(plain_bytes(compaction)), key);
  // NOLINTNEXTLINE: bytes are what a text holds
  const std::string_view text(reinterpret_cast<const char*>(sealed.data()), sealed.size());
  const Digest digest = keyring.authenticate(text, key);
  std::string bytes(k_magic);
  bytes.append(reinterpret_cast<const char*>(digest.data()), digest.size());  // NOLINT: likewise
  bytes.append(text);
  return bytes;
}

Compaction parse_compaction(std::string_view bytes, const std::string& key,
                            const Keyring& keyring) {
  ByteParser object(bytes_of(bytes), key);
  if (!std::ranges::equal(object.take(k_magic.size()), bytes_of(k_magic))) {
    object.refuse("is no compaction, or of a version that this hamal does not know");
  }
  const auto digest = object.array<Digest>();
  if (keyring.authenticate(bytes.substr(bytes.size() - object.left()), key) != digest) {
    object.refuse("is damaged, or does not belong there");
  }
  const Bytes opened = keyring.open_index(object.take(object.left()), key);
  const Bytes plain = decompress(opened, k_max_plain, key);
  ByteParser parser(plain, key);
  Compaction compaction;
  compaction.session = parser.array<SessionId>();
  const auto packs = parser.number<std::uint32_t>();
  if (packs > parser.left() / k_least_pack_bytes) {
    parser.refuse("is damaged: it is too short for what it says it moves");
  }
  for (std::uint32_t i = 0; i < packs; ++i) {
    PackName pack;
    pack.session = parser.array<SessionId>();
    pack.number = parser.number<std::uint32_t>();
    if (!compaction.packs.empty() && pack <= compaction.packs.rbegin()->first) {
      parser.refuse("is damaged: its packs are not in order");
    }
    compaction.packs.emplace_hint(compaction.packs.end(), pack,
                                  parse_records(parser, pack, compaction.session));
  }
  if (parser.left() != 0) {
    parser.refuse("is damaged: bytes follow its end");
  }
  return compaction;
}

void Moves::add(std::uint64_t number, const Compaction& compaction) {
  m_numbers.insert(number);
  m_sessions[number] = compaction.session;
  for (const auto& [pack, records] : compaction.packs) {
    auto& parts = m_packs[pack];
    const auto after = std::partition_point(parts.begin(), parts.end(),
                                            [&](const Part& part) { return part.number < number; });
    parts.insert(after, {number, m_table.add(records)});
  }
}

RecordPlace Moves::current(RecordPlace place, std::set<std::uint64_t>* used) const {
  std::uint64_t after = 0;
  for (;;) {
    const auto pack = m_packs.find(place.pack);
    if (pack == m_packs.end()) {
      return place;
    }
    // Only ever to a later compaction: what is damaged in a way that nobody can make does not turn
    // in a circle.
    std::optional<MovedRecord> moved;
    for (const Part& part : pack->second) {
      if (part.number >= after) {
        moved = m_table.find(part.records, place.offset);
      }
      if (moved) {
        after = part.number;
        break;
      }
    }
    if (!moved) {
      return place;
    }
    if (used != nullptr) {
      used->insert(after);
    }
    place.pack = {m_sessions.at(after), moved->to_pack};
    place.offset = moved->to;
    ++after;
  }
}

std::shared_ptr<const Moves> read_moves(ObjectStore& store, const Keyring& keyring,
                                        const std::filesystem::path& scratch) {
  auto moves = std::make_shared<Moves>(scratch);
  std::vector<std::string> keys;
  store.list("compactions/", [&](const ObjectInfo& object) { keys.push_back(object.key); });
  for (const std::string& key : keys) {
    const auto number = parse_numbered_key(key, "compactions");
    if (!number) {
      continue;
    }
    const std::string bytes = store.get(key, k_max_object);
    if (bytes.starts_with('{')) {
      // A tombstone: the compaction was given up, or nothing needs it any more.
      parse_slot(bytes, key, keyring);
      continue;
    }
    moves->add(*number, parse_compaction(bytes, key, keyring));
  }
  return moves;
}

}  // namespace hamal::repository
