#include "hamal/repository/usable_packs.hpp"

#include "hamal/repository/session_object.hpp"

namespace hamal::repository {
namespace {

constexpr std::uint64_t k_max_session_object = 64U << 10;

}  // namespace

std::set<std::uint32_t> list_packs(ObjectStore& store, const SessionId& session) {
  std::set<std::uint32_t> numbers;
  store.list("packs/" + to_hex(session) + "/", [&](const ObjectInfo& info) {
    if (const auto pack = parse_pack_key(info.key)) {
      numbers.insert(pack->number);
    }
  });
  return numbers;
}

UsablePacks::UsablePacks(Repository& repository, Patience patience, const SessionId& session,
                         std::string slot, Condemned condemned,
                         std::function<bool(std::uint32_t)> own)
    : m_repository(repository),
      m_patience(patience),
      m_session(session),
      m_slot(std::move(slot)),
      m_condemned(std::move(condemned)),
      m_moves(patiently(m_patience, [&] { return repository.read_moves(); })),
      m_own(std::move(own)) {}

bool UsablePacks::usable(const PackName& pack) {
  if (pack.session == m_session) {
    return m_own(pack.number);
  }
  // A place that a compaction took a record from is read at the new place, whose pack may be
  // condemned; and the old pack is on its way out.
  if (m_condemned.packs.contains(pack) || m_moves->has(pack)) {
    return false;
  }
  const std::lock_guard lock(m_mutex);
  auto known = m_known.find(pack.session);
  if (known == m_known.end()) {
    known = m_known.emplace(pack.session, patiently(m_patience, [&] { return ask(pack.session); }))
                .first;
  }
  return known->second.contains(pack.number);
}

std::set<std::uint32_t> UsablePacks::ask(const SessionId& session) {
  ObjectStore& store = m_repository.store();
  const std::string key = session_key(session);
  try {
    const SessionObject object = parse_session_object(store.get(key, k_max_session_object), key);
    if (object.slot != m_slot && !store.head(object.slot)) {
      return {};
    }
  } catch (const ObjectMissing&) {
    return {};  // nobody knows whose they are
  }
  return list_packs(store, session);
}

}  // namespace hamal::repository
