// The order of the work: slots, then each layer once, then (full) each pack once, in groups whose
// records fit memory; only when something is bad, the versions again, to say which ranges suffer.
#include "hamal/repository/verify.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "hamal/repository/pack_check.hpp"
#include "hamal/util/parallel.hpp"

namespace hamal::repository {
namespace {

constexpr std::uint64_t k_max_pack = 64U << 20;
constexpr std::size_t k_batch_packs = 16;
// The records of so many are in memory, 100 bytes each, while the layers are walked once.
constexpr std::size_t k_group_records = 1U << 19;
constexpr unsigned k_threads = 4;

// Why a record cannot be had; empty: it can.
class BadRecords {
 public:
  void pack(const PackName& name, const std::string& problem) { m_packs.emplace(name, problem); }
  void record(const RecordPlace& place, const std::string& problem) {
    m_records.emplace(std::pair(place.pack, place.offset), problem);
  }
  bool empty() const { return m_packs.empty() && m_records.empty(); }
  const std::string* find(const RecordPlace& place) const {
    if (const auto pack = m_packs.find(place.pack); pack != m_packs.end()) {
      return &pack->second;
    }
    const auto record = m_records.find(std::pair(place.pack, place.offset));
    return record == m_records.end() ? nullptr : &record->second;
  }
  std::set<std::string> objects() const {
    std::set<std::string> keys;
    for (const auto& [name, problem] : m_packs) {
      keys.insert(pack_key(name));
    }
    for (const auto& [place, problem] : m_records) {
      keys.insert(pack_key(place.first));
    }
    return keys;
  }

 private:
  std::map<PackName, std::string> m_packs;
  std::map<std::pair<PackName, std::uint64_t>, std::string> m_records;
};

struct GoodLayer {
  LayerReference reference;
  std::vector<PackName> packs;
};

class Verification {
 public:
  explicit Verification(const VerifyRequest& request)
      : m_request(request), m_repository(request.repository) {}

  VerifyReport run() {
    list_packs();
    read_slots();
    check_layers();
    if (m_request.depth == VerifyDepth::full) {
      check_packs();
    }
    if (!m_bad.empty() || !m_bad_layers.empty()) {
      find_ranges();
    }
    m_report.versions = m_versions.size();
    m_report.packs = m_needed.size();
    const auto objects = m_bad.objects();
    m_objects.insert(objects.begin(), objects.end());
    m_report.damaged_objects.assign(m_objects.begin(), m_objects.end());
    return std::move(m_report);
  }

 private:
  void list_packs() {
    m_request.progress.phase("verify", "listing packs", 0);
    m_repository.store().list("packs/", [this](const ObjectInfo& object) {
      if (const auto pack = parse_pack_key(object.key)) {
        m_sizes.emplace(*pack, object.size);
      }
    });
  }

  void read_slots() {
    m_request.progress.phase("verify", "reading versions", 0);
    const Condemned dropped = m_repository.condemned();
    for (const VmName& vm : m_request.vms) {
      std::uint64_t expected = 0;
      for (const VersionName& slot : m_repository.slots(vm)) {
        m_request.cancel.check();
        for (; expected != 0 && expected < slot.generation; ++expected) {
          damaged_slot(vm, expected, slot_key(vm, expected), "is missing: no slot is ever emptied");
        }
        expected = slot.generation + 1;
        if (dropped.versions.contains(slot.key)) {
          continue;
        }
        try {
          if (auto manifest = m_repository.read_version(slot)) {
            m_versions.push_back(std::move(*manifest));
          }
        } catch (const Error& error) {
          rethrow_if_temporary(error);
          damaged_slot(vm, slot.generation, slot.key, error.problem());
        }
      }
    }
  }

  static void rethrow_if_temporary(const Error& error) {
    if (error.transient() || error.kind() != ErrorKind::failed) {
      throw;  // NOLINT: called from handlers alone
    }
  }

  void damaged_slot(const VmName& vm, std::uint64_t generation, const std::string& key,
                    const std::string& problem) {
    m_report.damages.push_back({vm, {}, generation, {}, key, problem, {}, 0});
    m_objects.insert(key);
  }

  // Each layer once, however many versions name it.
  void check_layers() {
    std::map<std::string, LayerReference> layers;
    for (const Manifest& version : m_versions) {
      for (const DiskVersion& disk : version.disks) {
        for (const LayerReference& layer : disk.layers) {
          layers.emplace(layer.key, layer);
        }
      }
    }
    m_report.layers = layers.size();
    m_request.progress.phase("verify", "checking layers", layers.size());
    for (const auto& [key, reference] : layers) {
      m_request.cancel.check();
      try {
        const auto layer = Layer::open(m_repository.store(), m_repository.keyring(), reference);
        m_layers.push_back({reference, check_entries(*layer)});
      } catch (const Error& error) {
        rethrow_if_temporary(error);
        m_bad_layers.emplace(key, error.problem());
        m_objects.insert(key);
      }
      m_request.progress.advance("verify", 1);
    }
  }

  /// The packs that its records lie in now, as far as they are there.
  std::vector<PackName> check_entries(Layer& layer) {
    std::set<PackName> packs;
    const auto entries = layer.entries();
    for (LayerEntry entry; entries->next(entry);) {
      if (entry.extent.kind == ExtentKind::zero) {
        continue;
      }
      const RecordPlace place = m_repository.current_place(entry.place);
      const auto pack = m_sizes.find(place.pack);
      if (pack == m_sizes.end()) {
        m_bad.pack(place.pack, "is missing");
      } else if (place.offset > pack->second || place.length > pack->second - place.offset) {
        m_bad.record(place, "ends before the record does");
      } else {
        packs.insert(place.pack);
      }
    }
    m_needed.insert(packs.begin(), packs.end());
    return {packs.begin(), packs.end()};
  }

  void check_packs() {
    m_report.decoded = m_repository.keyring().can_read_records();
    std::uint64_t total = 0;
    for (const PackName& pack : m_needed) {
      total += m_sizes.at(pack);
    }
    m_request.progress.phase("verify", "reading packs", total);
    const std::vector<PackName> all(m_needed.begin(), m_needed.end());
    std::map<PackName, CheckedPack> group;
    std::size_t records = 0;
    for (std::size_t begin = 0; begin < all.size(); begin += k_batch_packs) {
      const std::size_t end = std::min(begin + k_batch_packs, all.size());
      records += read_packs({all.begin() + static_cast<std::ptrdiff_t>(begin),
                             all.begin() + static_cast<std::ptrdiff_t>(end)},
                            group);
      if (records >= k_group_records || end == all.size()) {
        compare_group(group);
        group.clear();
        records = 0;
      }
    }
  }

  /// Into the group; returns how many records they have.
  std::size_t read_packs(const std::vector<PackName>& packs,
                         std::map<PackName, CheckedPack>& group) {
    std::mutex mutex;
    std::size_t records = 0;
    for_each_parallel(packs.size(), k_threads, [&](std::size_t i) {
      m_request.cancel.check();
      CheckedPack checked = read_pack(packs[i]);
      const std::lock_guard lock(mutex);
      m_report.read_bytes += m_sizes.at(packs[i]);
      m_request.progress.advance("verify", m_sizes.at(packs[i]));
      records += checked.records.size();
      group.emplace(packs[i], std::move(checked));
    });
    return records;
  }

  void compare_group(const std::map<PackName, CheckedPack>& group) {
    // Also when every record that is needed is well: not every byte is as it was written.
    for (const auto& [name, checked] : group) {
      if (!checked.problem.empty()) {
        m_objects.insert(pack_key(name));
      }
    }
    for (const GoodLayer& good : m_layers) {
      m_request.cancel.check();
      if (std::any_of(good.packs.begin(), good.packs.end(),
                      [&](const PackName& pack) { return group.contains(pack); })) {
        const auto layer =
            Layer::open(m_repository.store(), m_repository.keyring(), good.reference);
        compare_entries(*layer, group);
      }
    }
  }

  CheckedPack read_pack(const PackName& pack) {
    const std::string key = pack_key(pack);
    try {
      const std::string bytes = m_repository.store().get(key, k_max_pack);
      if (!m_report.decoded) {
        return check_pack(std::as_bytes(std::span(bytes)), key, nullptr);
      }
      RecordDecoder decoder(m_repository.keyring(), [this](const KeyId& id) {
        return m_repository.store().get(data_key_key(id), 1U << 20);
      });
      return check_pack(std::as_bytes(std::span(bytes)), key, &decoder);
    } catch (const Error& error) {
      rethrow_if_temporary(error);
      return {{}, error.problem()};
    }
  }

  void compare_entries(Layer& layer, const std::map<PackName, CheckedPack>& group) {
    const auto entries = layer.entries();
    for (LayerEntry entry; entries->next(entry);) {
      if (entry.extent.kind == ExtentKind::zero) {
        continue;
      }
      const RecordPlace place = m_repository.current_place(entry.place);
      const auto pack = group.find(place.pack);
      if (pack == group.end()) {
        continue;
      }
      const auto record = pack->second.records.find(place.offset);
      if (record == pack->second.records.end()) {
        m_bad.record(place,
                     pack->second.problem.empty() ? "has no record there" : pack->second.problem);
      } else if (record->second != entry.id) {
        m_bad.record(place, "holds another record there");
      }
    }
  }

  void find_ranges() {
    m_request.progress.phase("verify", "finding what suffers", m_versions.size());
    for (const Manifest& version : m_versions) {
      for (const DiskVersion& disk : version.disks) {
        m_request.cancel.check();
        find_ranges(version, disk);
      }
      m_request.progress.advance("verify", 1);
    }
  }

  void find_ranges(const Manifest& version, const DiskVersion& disk) {
    Damage damage{version.vm, version.vm_name, version.generation, disk.id, {}, {}, {}, 0};
    for (const LayerReference& layer : disk.layers) {
      if (const auto bad = m_bad_layers.find(layer.key); bad != m_bad_layers.end()) {
        damage.object = bad->first;
        damage.problem = bad->second;
        damage.ranges = {{0, disk.size, ExtentKind::data}};
        damage.bytes = disk.size;
        m_report.damages.push_back(std::move(damage));
        return;
      }
    }
    const auto entries = visible_entries(m_repository.open_layers(disk));
    for (LayerEntry entry; entries->next(entry);) {
      if (entry.extent.kind == ExtentKind::zero) {
        continue;
      }
      const RecordPlace place = m_repository.current_place(entry.place);
      if (const std::string* problem = m_bad.find(place)) {
        if (damage.problem.empty()) {
          damage.object = pack_key(place.pack);
          damage.problem = *problem;
        }
        add_range(damage, entry.extent);
      }
    }
    if (damage.bytes > 0) {
      m_report.damages.push_back(std::move(damage));
    }
  }

  static void add_range(Damage& damage, const Extent& extent) {
    damage.bytes += extent.length;
    if (!damage.ranges.empty() && damage.ranges.back().end() == extent.offset) {
      damage.ranges.back().length += extent.length;
    } else if (damage.ranges.size() < k_most_ranges) {
      damage.ranges.push_back({extent.offset, extent.length, ExtentKind::data});
    }
  }

  const VerifyRequest& m_request;
  Repository& m_repository;
  VerifyReport m_report;
  std::map<PackName, std::uint64_t> m_sizes;
  std::vector<Manifest> m_versions;
  std::vector<GoodLayer> m_layers;
  std::map<std::string, std::string> m_bad_layers;
  std::set<PackName> m_needed;
  BadRecords m_bad;
  std::set<std::string> m_objects;  // that are at fault
};

}  // namespace

VerifyReport verify(const VerifyRequest& request) {
  return Verification(request).run();
}

}  // namespace hamal::repository
