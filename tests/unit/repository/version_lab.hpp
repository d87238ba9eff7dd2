// Disks of versions put into a store by the lower pieces alone: packs and layers.
#pragma once
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../util/temporary_directory.hpp"
#include "hamal/repository/hash.hpp"
#include "hamal/repository/pack.hpp"
#include "hamal/repository/repository.hpp"
#include "hamal/repository/version_reader.hpp"
#include "placed_record.hpp"

namespace hamal::repository {

/// The parts of a Repository that readers use; compactions are made by move_pack().
class LabRepository final : public Repository {
 public:
  explicit LabRepository(std::unique_ptr<ObjectStore> store) : m_store(std::move(store)) {}
  ObjectStore& store() noexcept override { return *m_store; }
  const Keyring& keyring() const noexcept override { return *m_keyring; }
  const std::string& id() const noexcept override { return m_id; }
  std::vector<VmName> vms() override { return {}; }
  std::vector<VersionName> slots(const VmName&) override { return {}; }
  Condemned condemned() override { return {}; }
  std::optional<Manifest> read_version(const VersionName&) override { return std::nullopt; }
  std::vector<Manifest> visible_versions(const VmName&) override { return {}; }
  std::optional<Manifest> newest_with_disk(const VmName&, const std::string&) override {
    return std::nullopt;
  }
  LayerStack open_layers(const DiskVersion& disk) override {
    LayerStack stack;
    for (const LayerReference& layer : disk.layers) {
      stack.push_back(Layer::open(*m_store, *m_keyring, layer));
    }
    return stack;
  }
  std::shared_ptr<const Moves> read_moves() override { return std::make_shared<Moves>(""); }
  RecordPlace current_place(const RecordPlace& place) override {
    const std::lock_guard lock(m_mutex);
    const auto found = m_known.find(place.pack);
    return found == m_known.end() ? place : RecordPlace{found->second, place.offset, place.length};
  }
  void look_again(const PackName& missing) override {
    const std::lock_guard lock(m_mutex);
    m_known = m_moved;
    m_missing.insert(missing);
  }
  bool is_missing(const PackName& pack) override {
    const std::lock_guard lock(m_mutex);
    return m_missing.contains(pack);
  }
  /// As a compaction and a prune after it: the records are elsewhere, the pack is gone. Readers
  /// learn it when they refresh.
  void move_pack(const PackName& from, const PackName& to) {
    const std::string bytes = m_store->get(pack_key(from), 64U << 20);
    m_store->put(pack_key(to), bytes_of(bytes));
    m_store->remove(pack_key(from));
    const std::lock_guard lock(m_mutex);
    m_moved[from] = to;
  }

 private:
  std::unique_ptr<ObjectStore> m_store;
  std::unique_ptr<Keyring> m_keyring = make_plain_keyring();
  std::string m_id = "lab";
  std::mutex m_mutex;
  std::map<PackName, PackName> m_moved;
  std::map<PackName, PackName> m_known;
  PackSet m_missing;
};

/// Writes runs of one disk, each a pack (or several) and a layer on top of those before.
class VersionLab {
 public:
  explicit VersionLab(Repository& repository, std::uint64_t disk_size)
      : m_repository(repository), m_content(disk_size) {
    m_session[0] = std::byte{7};
  }

  /// The run changes these ranges to what `content` holds there. Data of one run that was stored
  /// before in the same run is not stored again.
  void run(const std::vector<Extent>& changed, std::uint64_t records_per_pack = 512) {
    std::string key_object;
    const auto sealer = m_repository.keyring().new_sealer(key_object);
    RecordEncoder encoder(*sealer);
    auto pack = std::make_unique<PackBuilder>(std::vector<KeyId>{});
    std::uint64_t in_pack = 0;
    std::vector<LayerEntry> entries;
    std::map<RecordId, LayerEntry> stored;
    const auto close = [&] {
      if (!pack->empty()) {
        const Bytes bytes = pack->finish();
        m_repository.store().put(pack_key({m_session, m_packs++}), bytes);
        pack = std::make_unique<PackBuilder>(std::vector<KeyId>{});
        in_pack = 0;
      }
    };
    for (const Extent& extent : changed) {
      if (extent.kind == ExtentKind::zero) {
        entries.push_back({extent, {}, {}, 0, 0});
        continue;
      }
      for (std::uint64_t at = extent.offset; at < extent.end();) {
        const std::uint64_t cut = (at / k_record_bytes + 1) * k_record_bytes;
        const std::uint64_t end = std::min(extent.end(), cut);
        const auto plain = ByteView(m_content).subspan(at, end - at);
        auto [known, is_new] = stored.try_emplace(m_repository.keyring().record_id(plain));
        if (is_new) {
          if (in_pack == records_per_pack) {
            close();
          }
          known->second =
              place_record(m_repository.keyring(), encoder, *pack, {m_session, m_packs}, at, plain);
          ++in_pack;
        }
        entries.push_back(known->second);
        entries.back().extent.offset = at;
        at = end;
      }
    }
    close();
    const std::string key = layer_key(m_session, 0, m_layers++);
    const auto path = m_directory / "layer";
    const auto source = vector_entries(std::move(entries));
    m_disk.layers.insert(m_disk.layers.begin(),
                         write_layer(path, key, m_content.size(), m_repository.keyring(), *source));
    std::ifstream in(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    m_repository.store().put(key, bytes_of(bytes));
  }

  Bytes& content() { return m_content; }
  const DiskVersion& disk() const { return m_disk; }
  PackName pack(std::uint32_t number) const { return {m_session, number}; }
  std::uint32_t packs() const { return m_packs; }

 private:
  Repository& m_repository;
  Bytes m_content;
  test::TemporaryDirectory m_directory;
  SessionId m_session{};
  std::uint32_t m_packs = 0;
  unsigned m_layers = 0;
  DiskVersion m_disk;
};

}  // namespace hamal::repository
