// Versions of a small disk in a repository in memory, whose objects a test can damage.
#pragma once
#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "hamal/repository/pack.hpp"
#include "hamal/repository/repository.hpp"
#include "hamal/util/file.hpp"
#include "repository/bytes.hpp"
#include "repository/memory_store.hpp"
#include "repository/placed_record.hpp"
#include "util/temporary_directory.hpp"

namespace hamal::repository {

class DamageLab : public testing::Test {
 protected:
  static constexpr std::uint64_t k_disk = 16U << 10;
  static constexpr std::uint64_t k_block = 4096;
  using Writes = std::map<std::uint64_t, Bytes>;  ///< by offset; a record each

  DamageLab() {
    auto memory = std::make_unique<test::MemoryStore>();
    store = memory.get();
    init_repository(*memory, {});
    repository = open_repository(std::move(memory), {});
  }

  /// One pack and one layer, upon the layers of the version before.
  Manifest commit(const Writes& writes) {
    Manifest manifest = versions.empty() ? first_version() : versions.back();
    ++manifest.generation;
    manifest.session[0] = static_cast<std::byte>(manifest.generation);
    std::string key_object;
    const auto sealer = repository->keyring().new_sealer(key_object);
    RecordEncoder encoder(*sealer);
    PackBuilder pack({});
    std::vector<LayerEntry> entries;
    for (const auto& [offset, bytes] : writes) {
      entries.push_back(
          place_record(repository->keyring(), encoder, pack, {manifest.session, 0}, offset, bytes));
    }
    store->put(pack_of(manifest), pack.finish());
    const auto source = vector_entries(entries);
    auto& layers = manifest.disks[0].layers;
    layers.insert(layers.begin(),
                  write_layer(directory / "layer", layer_key(manifest.session, 0, 0), k_disk,
                              repository->keyring(), *source));
    store->put(layers[0].key, to_bytes(read_file(directory / "layer")));
    const std::string slot = slot_of(manifest);
    store->put_if_absent(slot, to_bytes(to_text(manifest, slot, repository->keyring())));
    versions.push_back(manifest);
    return manifest;
  }

  static std::string slot_of(const Manifest& version) {
    return slot_key(version.vm, version.generation);
  }
  static std::string pack_of(const Manifest& version) { return pack_key({version.session, 0}); }
  static std::string layer_of(const Manifest& version) { return version.disks[0].layers[0].key; }

  std::vector<std::string> keys(const std::string& prefix) {
    std::vector<std::string> all;
    store->list(prefix, [&](const ObjectInfo& object) { all.push_back(object.key); });
    return all;
  }

  test::TemporaryDirectory directory;
  test::MemoryStore* store = nullptr;
  std::unique_ptr<Repository> repository;
  std::vector<Manifest> versions;

 private:
  Manifest first_version() {
    Manifest manifest;
    manifest.repository = repository->id();
    manifest.vm = {"lab", "vm-1"};
    manifest.vm_name = "web01";
    manifest.snapshot_id = "s";
    manifest.created = manifest.committed = "2026-11-25T00:00:00Z";
    manifest.document = "{}";
    DiskVersion disk;
    disk.id = "vda";
    disk.size = k_disk;
    manifest.disks = {disk};
    return manifest;
  }
};

}  // namespace hamal::repository
