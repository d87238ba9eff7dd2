// A writer that fits on a page: disks of a few blocks, one record per block, a cache of records
// that outlives its sessions. It keeps the writers' part of the protocol (hamal-repository(5),
// SESSIONS) through the same packs, layers and manifests as the real one, and can be told to break
// it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hamal/repository/hash.hpp"
#include "hamal/repository/moved.hpp"
#include "hamal/repository/pack.hpp"
#include "hamal/repository/repository.hpp"
#include "hamal/repository/session_object.hpp"
#include "hamal/util/file.hpp"
#include "placed_record.hpp"

namespace hamal::repository::test {

inline constexpr std::uint64_t k_block = 4096;

/// What each block of a disk holds; 0: zeros.
using Blocks = std::vector<std::uint64_t>;

inline Bytes block_content(std::uint64_t value) {
  Bytes bytes(k_block);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(value >> (8 * (i % 8)));
  }
  return bytes;
}

/// What is broken of the protocol.
enum class WriterBreak {
  nothing,
  register_late,           ///< lists what is condemned before it registers
  packs_before_condemned,  ///< lists the packs before what is condemned
  ignores_condemned,       ///< shares what is condemned
  shares_moved,            ///< shares records from where a compaction took them
};

/// A host that protects machines. Errors and kills may leave a session behind at any point.
class SmallWriter {
 public:
  SmallWriter(Repository& repository, std::filesystem::path scratch,
              WriterBreak broken = WriterBreak::nothing)
      : m_repository(repository), m_scratch(std::move(scratch)), m_broken(broken) {}

  /// One version of a machine with one disk. `change` turns the base's blocks into the new ones.
  /// nullopt: the slot was taken. Tells `committing` the slot and the blocks before it commits.
  template <typename Change, typename Committing>
  std::optional<std::uint64_t> run(const VmName& vm, const Change& change,
                                   const Committing& committing) {
    Session session;
    session.vm = vm;
    const auto slots = m_repository.slots(vm);
    session.generation = slots.empty() ? 1 : slots.back().generation + 1;
    if (m_broken == WriterBreak::register_late) {
      session.condemned = m_repository.condemned();
      session.listed = list_packs();
    }
    register_session(session);
    if (m_broken == WriterBreak::packs_before_condemned) {
      session.listed = list_packs();
    }
    if (m_broken != WriterBreak::register_late) {
      session.condemned = m_repository.condemned();
    }
    if (m_broken == WriterBreak::nothing || m_broken == WriterBreak::shares_moved ||
        m_broken == WriterBreak::ignores_condemned) {
      session.listed = list_packs();
    }
    session.moves = m_repository.read_moves();
    const auto base = read_base(session);
    const Blocks before = base ? read_blocks(m_repository, base->disks.front()) : Blocks(k_blocks);
    const Blocks after = change(before);
    const DiskVersion disk = write(session, base, before, after);
    return commit(session, disk, after, committing);
  }

  /// What a version's disk holds, through the decoder. Throws what the repository throws.
  static Blocks read_blocks(Repository& repository, const DiskVersion& disk) {
    Blocks blocks(disk.size / k_block);
    const auto entries = visible_entries(repository.open_layers(disk));
    LayerEntry entry;
    while (entries->next(entry)) {
      if (entry.extent.kind == ExtentKind::data) {
        blocks[entry.extent.offset / k_block] = read_record(repository, entry);
      }
    }
    return blocks;
  }

  static constexpr std::size_t k_blocks = 4;
  std::function<SessionId()> new_session = random_session_id;

 private:
  struct Session {
    SessionId id{};
    VmName vm;
    std::uint64_t generation = 0;
    Condemned condemned;
    std::shared_ptr<const Moves> moves;
    std::set<PackName> listed;
    std::uint32_t packs = 0;
  };

  static std::uint64_t read_record(Repository& repository, const LayerEntry& entry) {
    RecordPlace place = repository.current_place(entry.place);
    for (bool again : {true, false}) {
      try {
        return decode(repository, place, entry);
      } catch (const ObjectMissing&) {
        if (!again) {
          throw;
        }
        repository.look_again(place.pack);
        place = repository.current_place(entry.place);
      }
    }
    return 0;
  }

  static std::uint64_t decode(Repository& repository, const RecordPlace& place,
                              const LayerEntry& entry) {
    Bytes stored(place.length);
    const std::string key = pack_key(place.pack);
    repository.store().get_range(key, place.offset, stored);
    Bytes plain(entry.plain);
    RecordDecoder decoder(repository.keyring(), [&](const KeyId& id) {
      return repository.store().get(data_key_key(id), 1U << 20);
    });
    decoder.decode(stored, entry.id, read_keys(repository, key), key, plain);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i) {
      value |= std::to_integer<std::uint64_t>(plain[i]) << (8 * i);
    }
    return value;
  }

  static std::vector<KeyId> read_keys(Repository& repository, const std::string& pack) {
    if (!repository.keyring().encrypted()) {
      return {};
    }
    return parse_pack_header(bytes_of(repository.store().get(pack, 1U << 20)), pack);
  }

  std::set<PackName> list_packs() {
    std::set<PackName> packs;
    m_repository.store().list("packs/", [&](const ObjectInfo& object) {
      packs.insert(parse_pack_key(object.key).value());
    });
    return packs;
  }

  void register_session(Session& session) {
    session.id = new_session();
    const std::string text = to_text(SessionObject{
        session.id, slot_key(session.vm, session.generation), "2026-01-01T00:00:00Z", "host"});
    m_repository.store().put_if_absent(session_key(session.id), bytes_of(text));
  }

  std::optional<Manifest> read_base(const Session& session) {
    const auto slots = m_repository.slots(session.vm);
    for (auto slot = slots.rbegin(); slot != slots.rend(); ++slot) {
      if (session.condemned.versions.contains(slot->key)) {
        continue;
      }
      if (auto manifest = m_repository.read_version(*slot)) {
        learn(manifest->disks.front());
        return manifest;
      }
    }
    return std::nullopt;
  }

  /// Also what newer layers hide: the real cache does the same.
  void learn(const DiskVersion& disk) {
    for (const auto& layer : m_repository.open_layers(disk)) {
      const auto entries = layer->entries();
      LayerEntry entry;
      while (entries->next(entry)) {
        if (entry.extent.kind == ExtentKind::data) {
          m_cache[entry.id] = entry.place;
        }
      }
    }
  }

  std::optional<RecordPlace> find(Session& session, const RecordId& id) {
    const auto known = m_cache.find(id);
    if (known == m_cache.end()) {
      return std::nullopt;
    }
    const RecordPlace now = m_broken == WriterBreak::shares_moved
                                ? known->second
                                : session.moves->current(known->second);
    const bool condemned =
        session.condemned.packs.contains(now.pack) && m_broken != WriterBreak::ignores_condemned;
    return session.listed.contains(now.pack) && !condemned && is_resolved(now.pack.session)
               ? std::optional(now)
               : std::nullopt;
  }

  bool is_resolved(const SessionId& session) {
    ObjectStore& store = m_repository.store();
    try {
      const std::string key = session_key(session);
      return store.head(parse_session_object(store.get(key, 1U << 16), key).slot).has_value();
    } catch (const ObjectMissing&) {
      return false;
    }
  }

  DiskVersion write(Session& session, const std::optional<Manifest>& base, const Blocks& before,
                    const Blocks& after) {
    std::vector<LayerEntry> entries;
    std::string key_object;
    const auto sealer = m_repository.keyring().new_sealer(key_object);
    RecordEncoder encoder(*sealer);
    std::vector<KeyId> keys;
    if (const auto id = sealer->key_id()) {
      m_repository.store().put(data_key_key(*id), bytes_of(key_object));
      keys.push_back(*id);
    }
    PackBuilder pack(keys);
    for (std::size_t i = 0; i < after.size(); ++i) {
      if (base && before[i] == after[i]) {
        continue;
      }
      LayerEntry entry;
      entry.extent = {i * k_block, k_block, after[i] == 0 ? ExtentKind::zero : ExtentKind::data};
      if (after[i] != 0) {
        const Bytes plain = block_content(after[i]);
        entry.plain = k_block;
        entry.id = m_repository.keyring().record_id(plain);
        if (const auto known = find(session, entry.id)) {
          entry.place = *known;
        } else {
          entry = place_record(m_repository.keyring(), encoder, pack, {session.id, 0}, i * k_block,
                               plain);
        }
      }
      entries.push_back(entry);
    }
    if (!pack.empty()) {
      m_repository.store().put(pack_key({session.id, 0}), pack.finish());
    }
    for (const LayerEntry& entry : entries) {
      if (entry.extent.kind == ExtentKind::data) {
        m_cache[entry.id] = entry.place;
      }
    }
    return write_index(session, base, entries);
  }

  DiskVersion write_index(const Session& session, const std::optional<Manifest>& base,
                          std::vector<LayerEntry> entries) {
    DiskVersion disk;
    disk.id = "vda";
    disk.size = k_blocks * k_block;
    disk.change_id = std::to_string(session.generation);
    std::vector<EntrySourcePtr> sources;
    sources.push_back(vector_entries(entries));
    if (base) {
      std::vector<std::uint64_t> below;
      for (const LayerReference& layer : base->disks.front().layers) {
        below.push_back(layer.entries);
      }
      const std::size_t merged = layers_to_merge(entries.size(), below);
      const LayerStack stack = m_repository.open_layers(base->disks.front());
      for (std::size_t i = 0; i < stack.size(); ++i) {
        if (i < merged) {
          sources.push_back(stack[i]->entries());
        } else {
          disk.layers.push_back(stack[i]->reference());
        }
      }
    }
    const auto all = overlay_entries(std::move(sources));
    const auto layer = write_layer(m_scratch, layer_key(session.id, 0, 0), disk.size,
                                   m_repository.keyring(), *all);
    disk.layers.insert(disk.layers.begin(), layer);
    m_repository.store().put(layer.key, bytes_of(read_file(m_scratch)));
    const std::string staged = staged_key(session.id, 0);
    m_repository.store().put(staged, bytes_of(to_text(disk, staged, m_repository.keyring())));
    return disk;
  }

  template <typename Committing>
  std::optional<std::uint64_t> commit(const Session& session, const DiskVersion& disk,
                                      const Blocks& blocks, const Committing& committing) {
    Manifest manifest;
    manifest.repository = m_repository.id();
    manifest.vm = session.vm;
    manifest.vm_name = "vm";
    manifest.generation = session.generation;
    manifest.session = session.id;
    manifest.snapshot_id = "s";
    manifest.created = "2026-01-01T00:00:00Z";
    manifest.committed = manifest.created;
    manifest.document = "{}";
    manifest.disks = {disk};
    const std::string slot = slot_key(session.vm, session.generation);
    committing(slot, session.id, blocks);
    const bool created = m_repository.store().put_if_absent(
        slot, bytes_of(to_text(manifest, slot, m_repository.keyring())));
    return created ? std::optional(session.generation) : std::nullopt;
  }

  Repository& m_repository;
  std::filesystem::path m_scratch;
  WriterBreak m_broken;
  std::map<RecordId, RecordPlace> m_cache;
};

}  // namespace hamal::repository::test
