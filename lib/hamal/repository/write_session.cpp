// The life of a session; what its objects mean to prune rounds is in hamal-repository(5), SESSIONS.
#include "hamal/repository/write_session.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>

#include "hamal/repository/damaged.hpp"
#include "hamal/repository/disk_stage.hpp"
#include "hamal/repository/heartbeat.hpp"
#include "hamal/repository/journal.hpp"
#include "hamal/repository/pack_writer.hpp"
#include "hamal/repository/session_object.hpp"
#include "hamal/repository/session_record.hpp"
#include "hamal/repository/usable_packs.hpp"
#include "hamal/util/file.hpp"

namespace hamal::repository {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t k_max_staged = 64U << 20;
// So often a slot may be taken from under a session that has only begun.
constexpr unsigned k_most_begins = 8;

Patience patience_of(const SessionContext& context) {
  return {context.log, context.cancel, context.outage_max};
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

std::uint64_t highest_generation(Repository& repository, const VmName& vm) {
  const auto slots = repository.slots(vm);
  return slots.empty() ? 0 : slots.back().generation;
}

Error void_run(const std::string& slot) {
  return {ErrorKind::busy, "another run of this vm, or a prune round, has taken the version's slot",
          slot, "run again: the next run counts from the version that is there now"};
}

class Session final : public WriteSession {
 public:
  Session(const SessionContext& context, SessionRecord record, bool resumed)
      : m_context(context),
        m_patience(patience_of(context)),
        m_record(std::move(record)),
        m_resumed(resumed),
        m_directory(session_directory(context.directory, m_record.vm)),
        m_slot(slot_key(m_record.vm, m_record.generation)),
        m_beat(context.repository.store(), context.log, m_record.id) {}

  const SessionId& id() const noexcept override { return m_record.id; }
  std::uint64_t generation() const noexcept override { return m_record.generation; }
  bool resumed() const noexcept override { return m_resumed; }

  std::optional<DiskVersion> base(const std::string& disk_id) override {
    const std::lock_guard lock(m_mutex);
    auto known = m_bases.find(disk_id);
    if (known == m_bases.end()) {
      const auto found = patiently(
          m_patience, [&] { return find_base(m_context.repository, m_record.vm, disk_id); });
      known = m_bases.emplace(disk_id, found ? std::optional(found->disk) : std::nullopt).first;
    }
    return known->second;
  }

  const PackSet& damaged() override {
    const std::lock_guard lock(m_mutex);
    return read_damaged();
  }

  std::optional<DiskVersion> staged(std::uint64_t disk_index) override {
    return patiently(m_patience, [&] { return read_staged(staged_key(m_record.id, disk_index)); });
  }

  std::unique_ptr<DiskStage> stage(const StageRequest& request) override {
    std::optional<DiskVersion> below;
    if (request.mode == SyncMode::incremental) {
      below = base(request.id);
      if (!below || below->change_id != request.base_change_id) {
        throw Error(ErrorKind::base_mismatch,
                    "the changes count from " + request.base_change_id +
                        " and the newest version is at " +
                        (below ? below->change_id : std::string("no change id")),
                    m_context.repository.store().uri() + " " + request.id, "run again");
      }
      // What lies below would reach over the end of a disk that was cut.
      if (below->size != request.size) {
        throw Error(ErrorKind::base_mismatch,
                    "the disk has " + std::to_string(request.size) +
                        " bytes and the newest version of it " + std::to_string(below->size),
                    m_context.repository.store().uri() + " " + request.id,
                    "run a full copy: hamal-cbt-read --full");
      }
    }
    const std::lock_guard lock(m_mutex);
    open_packs();
    learn(below);
    return make_disk_stage({m_context.repository, *m_packs, m_patience, m_record.id, m_directory,
                            m_context.compression},
                           request, below);
  }

  Manifest commit(const SnapshotDocument& document) override {
    Manifest manifest = describe_version(document);
    if (manifest.disks.empty()) {
      throw Error(ErrorKind::failed, "nothing is staged for this snapshot", m_slot,
                  "run hamal-sync first; what it says of each disk tells why");
    }
    const std::string text = to_text(manifest, m_slot, m_context.repository.keyring());
    const bool created = patiently(m_patience, [&] {
      m_context.still_ours();
      return store().put_if_absent(m_slot, std::as_bytes(std::span(text)));
    });
    if (!created) {
      manifest = require_own_slot();
    }
    m_context.log.info("version {} of {}:{} committed, {} disks", manifest.generation,
                       m_record.vm.platform, m_record.vm.vm_id, manifest.disks.size());
    remove_session_record(m_directory);
    return manifest;
  }

 private:
  ObjectStore& store() { return m_context.repository.store(); }

  std::optional<DiskVersion> read_staged(const std::string& key) {
    try {
      return parse_staged(store().get(key, k_max_staged), key, m_context.repository.keyring());
    } catch (const ObjectMissing&) {
      return std::nullopt;
    }
  }

  // With the mutex, as all that follow.
  const PackSet& read_damaged() {
    if (!m_damaged) {
      m_damaged = patiently(m_patience, [&] { return damaged_packs(m_context.repository); });
    }
    return *m_damaged;
  }

  void open_packs() {
    if (m_packs) {
      return;
    }
    Repository& repository = m_context.repository;
    m_cache = open_record_cache(m_context.directory / "records.db", repository.id(), m_context.log);
    std::set<std::uint32_t> durable;
    if (m_resumed) {
      durable = patiently(m_patience, [&] { return list_packs(store(), m_record.id); });
    }
    Condemned condemned = patiently(m_patience, [&] { return repository.condemned(); });
    condemned.packs.insert(read_damaged());
    m_usable = std::make_unique<UsablePacks>(
        repository, m_patience, m_record.id, m_slot, condemned,
        [this](std::uint32_t number) { return m_packs && m_packs->is_durable(number); });
    const std::uint32_t next = take_in_journals(durable);
    m_packs = std::make_unique<PackWriter>(
        PackWriterContext{store(), repository.keyring(), *m_cache, m_patience, m_context.memory},
        m_record.id, std::move(durable), next);
    m_cache->set_usable([this](const PackName& pack) { return m_usable->usable(pack); });
  }

  // Records that a process put which died before the cache knew, of this session or of one that was
  // given up (whose packs UsablePacks asks for). Returns a number that no pack of ours had.
  std::uint32_t take_in_journals(const std::set<std::uint32_t>& durable) {
    std::uint32_t next = durable.empty() ? 0 : *durable.rbegin() + 1;
    std::error_code error;
    for (const auto& file : fs::directory_iterator(m_directory, error)) {
      if (file.path().extension() != ".journal") {
        continue;
      }
      read_journal(file.path(), [&](const StagedEntry& staged) {
        const LayerEntry& entry = staged.entry;
        if (entry.extent.kind != ExtentKind::data) {
          return;
        }
        const bool ours = entry.place.pack.session == m_record.id;
        next = ours ? std::max(next, entry.place.pack.number + 1) : next;
        if (ours ? durable.contains(entry.place.pack.number) : m_usable->usable(entry.place.pack)) {
          m_cache->add(entry.id, entry.plain, entry.place);
        }
      });
      if (!m_resumed) {
        fs::remove(file.path(), error);
      }
    }
    return next;
  }

  // A full looks for its content everywhere, an incremental in what it follows.
  void learn(const std::optional<DiskVersion>& below) {
    if (below) {
      learn_layers(*below);
      return;
    }
    if (m_learned_all) {
      return;
    }
    m_learned_all = true;
    Repository& repository = m_context.repository;
    for (const VmName& vm : patiently(m_patience, [&] { return repository.vms(); })) {
      const auto newest = patiently(m_patience, [&] { return newest_version(vm); });
      for (const DiskVersion& disk : newest ? newest->disks : std::vector<DiskVersion>{}) {
        learn_layers(disk);
      }
    }
  }

  // What cannot be read is not shared: the version it belongs to is for verify to complain about.
  void learn_layers(const DiskVersion& disk) {
    for (const LayerReference& reference : disk.layers) {
      if (m_cache->knows(reference.key)) {
        continue;
      }
      try {
        patiently(m_patience, [&] {
          const auto layer = Layer::open(store(), m_context.repository.keyring(), reference);
          m_cache->learn(*layer);
        });
      } catch (const StoreUnreachable&) {
        throw;
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::failed) {
          throw;
        }
        m_context.log.warning("what {} holds is not shared: {}", reference.key, error.what());
      }
    }
  }

  std::optional<Manifest> newest_version(const VmName& vm) {
    auto slots = m_context.repository.slots(vm);
    std::reverse(slots.begin(), slots.end());
    for (const VersionName& slot : slots) {
      if (auto manifest = m_context.repository.read_version(slot)) {
        return manifest;
      }
    }
    return std::nullopt;
  }

  Manifest describe_version(const SnapshotDocument& document) {
    Manifest manifest;
    manifest.repository = m_context.repository.id();
    manifest.vm = m_record.vm;
    manifest.vm_name = document.vm_name;
    manifest.generation = m_record.generation;
    manifest.session = m_record.id;
    manifest.snapshot_id = m_record.snapshot_id;
    manifest.created = document.created;
    manifest.committed = rfc3339(m_context.clock.wall());
    manifest.parent = patiently(m_patience, [&] { return find_parent(); });
    manifest.document = to_json(document);
    patiently(m_patience, [&] { manifest.disks = read_all_staged(); });
    return manifest;
  }

  std::vector<DiskVersion> read_all_staged() {
    std::vector<std::string> keys;
    store().list("staged/" + to_hex(m_record.id) + "/",
                 [&](const ObjectInfo& info) { keys.push_back(info.key); });
    std::vector<DiskVersion> disks;
    for (const std::string& key : keys) {
      if (auto disk = read_staged(key)) {
        disks.push_back(*std::move(disk));
      }
    }
    std::sort(disks.begin(), disks.end(),
              [](const DiskVersion& a, const DiskVersion& b) { return a.index < b.index; });
    return disks;
  }

  std::optional<Parent> find_parent() {
    auto slots = m_context.repository.slots(m_record.vm);
    std::reverse(slots.begin(), slots.end());
    for (const VersionName& slot : slots) {
      if (slot.generation < m_record.generation && m_context.repository.read_version(slot)) {
        return Parent{slot.generation, text_digest(store().get(slot.key, k_max_manifest))};
      }
    }
    return std::nullopt;
  }

  // The slot is filled: by us, in an earlier try, or the run is void.
  Manifest require_own_slot() {
    const std::string text =
        patiently(m_patience, [&] { return store().get(m_slot, k_max_manifest); });
    const Slot slot = parse_slot(text, m_slot, m_context.repository.keyring());
    const auto* manifest = std::get_if<Manifest>(&slot);
    if (manifest == nullptr || manifest->session != m_record.id) {
      remove_session_record(m_directory);
      throw void_run(m_slot);
    }
    return *manifest;
  }

  SessionContext m_context;
  Patience m_patience;
  SessionRecord m_record;
  bool m_resumed;
  fs::path m_directory;
  std::string m_slot;
  Heartbeat m_beat;
  std::mutex m_mutex;
  std::map<std::string, std::optional<DiskVersion>> m_bases;
  bool m_learned_all = false;
  std::optional<PackSet> m_damaged;
  std::unique_ptr<RecordCache> m_cache;
  std::unique_ptr<UsablePacks> m_usable;
  std::unique_ptr<PackWriter> m_packs;
};

SessionRecord register_session(const SessionContext& context, const VmName& vm,
                               const std::string& vm_name, const std::string& snapshot_id) {
  Repository& repository = context.repository;
  for (unsigned i = 0; i < k_most_begins; ++i) {
    SessionRecord record{random_session_id(),
                         vm,
                         vm_name,
                         snapshot_id,
                         highest_generation(repository, vm) + 1,
                         rfc3339(context.clock.wall())};
    const std::string slot = slot_key(vm, record.generation);
    const std::string text = to_text(SessionObject{record.id, slot, record.started, host_name()});
    // A reply that was lost may say that the key is taken: nobody else has our 128 bits.
    repository.store().put_if_absent(session_key(record.id), std::as_bytes(std::span(text)));
    repository.condemned();
    if (highest_generation(repository, vm) < record.generation) {
      return record;
    }
  }
  throw Error(ErrorKind::busy, "other runs keep taking the next version of this vm",
              repository.store().uri() + " " + vm.platform + ":" + vm.vm_id,
              "let one host at a time protect a vm");
}

}  // namespace

std::unique_ptr<WriteSession> begin_session(const SessionContext& context, const VmName& vm,
                                            const std::string& vm_name,
                                            const std::string& snapshot_id) {
  if (auto session = resume_session(context, vm, snapshot_id)) {
    return session;
  }
  // What an abandoned session has put may be shared: its journals stay for the new one to read.
  const fs::path directory = session_directory(context.directory, vm);
  auto record = patiently(patience_of(context),
                          [&] { return register_session(context, vm, vm_name, snapshot_id); });
  write_session_record(directory, record);
  context.log.info("session {} begun for version {} of {}:{}", to_hex(record.id), record.generation,
                   vm.platform, vm.vm_id);
  return std::make_unique<Session>(context, std::move(record), false);
}

std::unique_ptr<WriteSession> resume_session(const SessionContext& context, const VmName& vm,
                                             const std::string& snapshot_id) {
  const fs::path directory = session_directory(context.directory, vm);
  auto record = read_session_record(directory);
  if (!record || record->vm != vm || record->snapshot_id != snapshot_id) {
    return nullptr;
  }
  Repository& repository = context.repository;
  const std::string slot = slot_key(vm, record->generation);
  const bool taken = patiently(patience_of(context), [&] {
    if (!repository.store().head(slot)) {
      return false;
    }
    const Slot filled =
        parse_slot(repository.store().get(slot, k_max_manifest), slot, repository.keyring());
    const auto* manifest = std::get_if<Manifest>(&filled);
    return manifest == nullptr || manifest->session != record->id;
  });
  if (taken) {
    context.log.warning("session {} is void: {} was taken meanwhile", to_hex(record->id), slot);
    remove_session_record(directory);
    return nullptr;
  }
  context.log.info("goes on with session {} of {} for version {}", to_hex(record->id),
                   record->started, record->generation);
  return std::make_unique<Session>(context, *std::move(record), true);
}

std::optional<RepositoryBase> find_base(Repository& repository, const VmName& vm,
                                        const std::string& disk_id) {
  const auto manifest = repository.newest_with_disk(vm, disk_id);
  if (!manifest) {
    return std::nullopt;
  }
  const auto disk = std::find_if(manifest->disks.begin(), manifest->disks.end(),
                                 [&](const DiskVersion& one) { return one.id == disk_id; });
  if (disk == manifest->disks.end()) {
    return std::nullopt;
  }
  return RepositoryBase{manifest->generation, manifest->snapshot_id, manifest->committed, *disk};
}

}  // namespace hamal::repository
