#include "hamal/repository/repository.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <thread>

#include "hamal/repository/description.hpp"
#include "hamal/repository/hash.hpp"
#include "hamal/repository/recipients.hpp"
#include "hamal/util/parallel.hpp"

namespace hamal::repository {
namespace {

constexpr std::uint64_t k_max_round = 256U << 20;
// Requests for small objects wait for the store, not for a processor.
constexpr unsigned k_threads = 8;
constexpr std::size_t k_kept_manifests = 256;

class OpenedRepository : public Repository {
 public:
  OpenedRepository(std::unique_ptr<ObjectStore> store, Description description,
                   std::unique_ptr<Keyring> keyring, std::filesystem::path scratch)
      : m_store(std::move(store)),
        m_description(std::move(description)),
        m_keyring(std::move(keyring)),
        m_scratch(std::move(scratch)) {}

  ObjectStore& store() noexcept override { return *m_store; }
  const Keyring& keyring() const noexcept override { return *m_keyring; }
  const std::string& id() const noexcept override { return m_description.id; }

  std::vector<VmName> vms() override {
    std::set<VmName> all;
    m_store->list("versions/", [&](const ObjectInfo& object) {
      if (auto slot = parse_slot_key(object.key)) {
        all.insert(std::move(slot->vm));
      }
    });
    return {all.begin(), all.end()};
  }

  std::vector<VersionName> slots(const VmName& vm) override {
    std::vector<VersionName> all;
    m_store->list(versions_prefix(vm), [&](const ObjectInfo& object) {
      if (auto slot = parse_slot_key(object.key)) {
        all.push_back({std::move(slot->vm), slot->generation, object.key});
      }
    });
    return all;
  }

  Condemned condemned() override {
    if (m_store->list_lag().count() > 0) {
      std::this_thread::sleep_for(m_store->list_lag());
    }
    {
      // Whoever asks what may be shared needs the compactions of now, too.
      const std::lock_guard lock(m_mutex);
      m_moves = nullptr;
    }
    std::set<std::string> done;
    m_store->list("done/", [&](const ObjectInfo& object) { done.insert(object.key.substr(5)); });
    std::vector<std::string> keys;
    m_store->list("condemned/", [&](const ObjectInfo& object) { keys.push_back(object.key); });
    std::vector<CondemnedRound> rounds(keys.size());
    for_each_parallel(keys.size(), k_threads, [&](std::size_t i) {
      rounds[i] = parse_condemned(m_store->get(keys[i], k_max_round), keys[i], *m_keyring);
    });
    Condemned all;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      all.versions.merge(rounds[i].versions);
      if (!done.contains(keys[i].substr(10))) {
        all.packs.insert(rounds[i].packs);
        all.objects.merge(rounds[i].objects);
      }
    }
    return all;
  }

  std::optional<Manifest> read_version(const VersionName& slot) override {
    {
      const std::lock_guard lock(m_mutex);
      if (const auto kept = m_kept.find(slot.key); kept != m_kept.end()) {
        return kept->second;
      }
    }
    Slot read = parse_slot(m_store->get(slot.key, k_max_manifest), slot.key, *m_keyring);
    auto* manifest = std::get_if<Manifest>(&read);
    if (manifest == nullptr) {
      return std::nullopt;
    }
    if (manifest->repository != m_description.id) {
      throw Error(ErrorKind::failed, "is a version of another repository", slot.key,
                  "hamal-repo verify says what suffers");
    }
    const std::lock_guard lock(m_mutex);
    if (m_kept.size() >= k_kept_manifests) {
      m_kept.clear();
    }
    m_kept.emplace(slot.key, *manifest);
    return std::move(*manifest);
  }

  std::vector<Manifest> visible_versions(const VmName& vm) override {
    const Condemned dropped = condemned();
    std::vector<VersionName> names = slots(vm);
    std::erase_if(names,
                  [&](const VersionName& name) { return dropped.versions.contains(name.key); });
    std::vector<std::optional<Manifest>> read(names.size());
    for_each_parallel(names.size(), k_threads,
                      [&](std::size_t i) { read[i] = read_version(names[i]); });
    std::vector<Manifest> all;
    for (auto& manifest : read) {
      if (manifest) {
        all.push_back(std::move(*manifest));
      }
    }
    return all;
  }

  std::optional<Manifest> newest_with_disk(const VmName& vm, const std::string& disk_id) override {
    const Condemned dropped = condemned();
    std::vector<VersionName> names = slots(vm);
    std::reverse(names.begin(), names.end());
    for (const VersionName& name : names) {
      if (dropped.versions.contains(name.key)) {
        continue;
      }
      auto manifest = read_version(name);
      if (manifest && std::any_of(manifest->disks.begin(), manifest->disks.end(),
                                  [&](const DiskVersion& disk) { return disk.id == disk_id; })) {
        return manifest;
      }
    }
    return std::nullopt;
  }

  LayerStack open_layers(const DiskVersion& disk) override {
    LayerStack stack(disk.layers.size());
    for_each_parallel(stack.size(), k_threads, [&](std::size_t i) {
      stack[i] = Layer::open(*m_store, *m_keyring, disk.layers[i]);
    });
    return stack;
  }

  std::shared_ptr<const Moves> read_moves() override {
    return repository::read_moves(*m_store, *m_keyring, m_scratch);
  }

  RecordPlace current_place(const RecordPlace& place) override {
    std::shared_ptr<const Moves> moves;
    {
      const std::lock_guard lock(m_mutex);
      moves = m_moves;
    }
    if (moves == nullptr) {
      moves = read_moves();
      const std::lock_guard lock(m_mutex);
      m_moves = moves;
    }
    return moves->current(place);
  }

  void look_again(const PackName& missing) override {
    // One at a time: whoever comes second finds it done.
    const std::lock_guard one(m_look_mutex);
    if (is_missing(missing)) {
      return;
    }
    if (m_store->list_lag().count() > 0) {
      std::this_thread::sleep_for(m_store->list_lag());
    }
    auto moves = read_moves();
    const std::lock_guard lock(m_mutex);
    m_moves = std::move(moves);
    m_missing.insert(missing);
  }

  bool is_missing(const PackName& pack) override {
    const std::lock_guard lock(m_mutex);
    return m_missing.contains(pack);
  }

 private:
  std::unique_ptr<ObjectStore> m_store;
  Description m_description;
  std::unique_ptr<Keyring> m_keyring;
  std::filesystem::path m_scratch;
  std::mutex m_look_mutex;  // taken before m_mutex
  std::mutex m_mutex;
  std::shared_ptr<const Moves> m_moves;
  PackSet m_missing;
  std::map<std::string, Manifest> m_kept;  // by slot key: immutable until dropped
};

}  // namespace

Description init_repository(ObjectStore& store, const InitOptions& options) {
  const std::string id = to_hex(random_session_id());
  Description description = options.recipients.empty()
                                ? Description{id, false, {}, {}}
                                : describe_encrypted(id, options.recipients, options.keys);
  const std::string text = to_text(description, *make_keyring(description, options.keys));
  if (!store.put_if_absent(k_description_key, bytes_of(text))) {
    throw Error(ErrorKind::usage, "holds a repository already", store.uri(),
                "hamal-repo list shows what is in it");
  }
  return description;
}

std::unique_ptr<Repository> open_repository(std::unique_ptr<ObjectStore> store,
                                            const Config& config) {
  const std::string text = read_description(*store);
  const std::string object = store->uri() + "/" + k_description_key;
  Description description = parse_description(text, object);
  auto keyring = make_keyring(description, config.repository);
  check_description(text, *keyring, object);
  return std::make_unique<OpenedRepository>(std::move(store), std::move(description),
                                            std::move(keyring), config.defaults.hamal_lib_dir);
}

}  // namespace hamal::repository
