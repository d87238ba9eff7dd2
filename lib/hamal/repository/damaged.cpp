#include "hamal/repository/damaged.hpp"

#include <algorithm>

#include "hamal/extent/algebra.hpp"
#include "hamal/extent/sources.hpp"
#include "hamal/repository/hash.hpp"

namespace hamal::repository {
namespace {

constexpr std::string_view k_prefix = "damaged/";
constexpr std::uint64_t k_max_list = 256U << 20;

class DamagedEntries : public EntrySource {
 public:
  DamagedEntries(Repository& repository, EntrySourcePtr entries, PackSet packs)
      : m_repository(repository), m_entries(std::move(entries)), m_packs(std::move(packs)) {}

  bool next(LayerEntry& entry) override {
    while (m_entries->next(entry)) {
      if (entry.extent.kind == ExtentKind::data &&
          m_packs.contains(m_repository.current_place(entry.place).pack)) {
        return true;
      }
    }
    return false;
  }

 private:
  Repository& m_repository;
  EntrySourcePtr m_entries;
  PackSet m_packs;
};

}  // namespace

void mark_damaged(Repository& repository, const PackSet& packs) {
  if (packs.empty()) {
    return;
  }
  std::uint64_t next = 0;
  repository.store().list(std::string(k_prefix), [&](const ObjectInfo& object) {
    if (const auto number = parse_numbered_key(object.key, "damaged")) {
      next = std::max(next, *number + 1);
    }
  });
  for (;; ++next) {
    const std::string key = damaged_key(next);
    const std::string text = to_text(CondemnedRound{{}, packs, {}}, key, repository.keyring());
    if (repository.store().put_if_absent(key, bytes_of(text))) {
      return;
    }
  }
}

PackSet damaged_packs(Repository& repository) {
  PackSet all;
  repository.store().list(std::string(k_prefix), [&](const ObjectInfo& object) {
    all.insert(parse_condemned(repository.store().get(object.key, k_max_list), object.key,
                               repository.keyring())
                   .packs);
  });
  return all;
}

ExtentSourcePtr damaged_extents(Repository& repository, const DiskVersion& disk,
                                const PackSet& packs) {
  if (packs.empty()) {
    return empty_source();
  }
  return coalesce(extents_of(std::make_unique<DamagedEntries>(
      repository, visible_entries(repository.open_layers(disk)), packs)));
}

}  // namespace hamal::repository
