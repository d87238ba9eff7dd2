#include "hamal/repository/prune_inventory.hpp"

#include <algorithm>

#include "hamal/util/parallel.hpp"

namespace hamal::repository {
namespace {

constexpr std::uint64_t k_max_session_object = 64U << 10;

}  // namespace

void wait_list_lag(const KeepingContext& context) {
  const auto lag = context.repository.store().list_lag();
  if (lag.count() > 0) {
    context.cancel.sleep_ms(static_cast<int>(lag.count()));
  }
}

void for_each_vm(const KeepingContext& context, const std::set<std::string>& dropped,
                 const std::function<void(const VmName&, std::vector<Manifest>&)>& each) {
  Repository& repository = context.repository;
  std::map<VmName, std::vector<VersionName>> machines;
  repository.store().list("versions/", [&](const ObjectInfo& object) {
    const auto slot = parse_slot_key(object.key);
    if (slot && !dropped.contains(object.key)) {
      machines[slot->vm].push_back({slot->vm, slot->generation, object.key});
    }
  });
  for (const auto& machine : machines) {
    const std::vector<VersionName>& slots = machine.second;
    std::vector<std::optional<Manifest>> read(slots.size());
    for_each_parallel(slots.size(), context.threads,
                      [&](std::size_t i) { read[i] = repository.read_version(slots[i]); });
    std::vector<Manifest> versions;
    for (auto& version : read) {
      if (version) {
        versions.push_back(*std::move(version));
      }
    }
    if (!versions.empty()) {
      each(machine.first, versions);
    }
  }
}

SessionObject read_session(ObjectStore& store, const std::string& key) {
  SessionObject session = parse_session_object(store.get(key, k_max_session_object), key);
  if (session_key(session.id) != key) {
    throw Error(ErrorKind::failed, "is the session of another key", key,
                "hamal-repo verify says what suffers");
  }
  return session;
}

std::optional<SessionId> session_of_key(std::string_view key) {
  const std::size_t slash = key.find('/');
  if (slash == std::string_view::npos) {
    return std::nullopt;
  }
  key.remove_prefix(slash + 1);
  return parse_session_id(key.substr(0, key.find('/')));
}

Inventory::Inventory(const KeepingContext& context) : m_context(context) {
  ObjectStore& store = context.repository.store();
  const auto list_slots = [&store](std::set<std::string>& filled) {
    for (const char* folder : {"versions/", "compactions/"}) {
      store.list(folder, [&](const ObjectInfo& object) { filled.insert(object.key); });
    }
  };
  list_slots(m_filled_before);
  wait_list_lag(context);
  store.list("packs/", [&](const ObjectInfo& object) {
    if (const auto pack = parse_pack_key(object.key)) {
      m_packs.emplace(*pack, object.size);
    }
  });
  store.list("layers/", [&](const ObjectInfo& object) {
    if (session_of_key(object.key)) {
      m_layers.emplace(object.key, object.size);
    }
  });
  for (const char* folder : {"staged/", "beats/"}) {
    store.list(folder, [&](const ObjectInfo& object) {
      if (session_of_key(object.key)) {
        m_leftovers.insert(object.key);
      }
    });
  }
  wait_list_lag(context);
  store.list("sessions/", [&](const ObjectInfo& object) {
    if (const auto session = session_of_key(object.key)) {
      m_sessions.insert(*session);
    }
  });
  list_slots(m_filled);
}

bool Inventory::is_resolved(const SessionId& session) {
  if (!m_sessions.contains(session)) {
    return true;
  }
  const std::string& slot = slot_of(session);
  return slot.empty() || m_filled.contains(slot);
}

bool Inventory::is_known_whole(const SessionId& session) {
  return m_filled_before.contains(slot_of(session));
}

/// Empty when another prune has deleted the session's object since the list.
const std::string& Inventory::slot_of(const SessionId& session) {
  const auto [known, is_new] = m_slots.try_emplace(session);
  if (is_new) {
    try {
      known->second = read_session(m_context.repository.store(), session_key(session)).slot;
    } catch (const ObjectMissing&) {  // NOLINT(bugprone-empty-catch): empty, as it says above
    }
  }
  return known->second;
}

CondemnedRound candidates(Inventory& inventory, const Moves& moves, const Need& need,
                          std::set<std::string> dropped) {
  CondemnedRound round;
  round.versions = std::move(dropped);
  std::set<SessionId> used;  // something of theirs stays
  for (const auto& [pack, size] : inventory.packs()) {
    if (!need.packs.contains(pack) && inventory.is_resolved(pack.session)) {
      round.packs.insert(pack);
    } else {
      used.insert(pack.session);
    }
  }
  for (const auto& [key, size] : inventory.layers()) {
    const SessionId session = session_of_key(key).value();
    if (!need.objects.contains(key) && inventory.is_resolved(session)) {
      round.objects.insert(key);
    } else {
      used.insert(session);
    }
  }
  for (const std::string& key : inventory.leftovers()) {
    if (inventory.is_resolved(session_of_key(key).value())) {
      round.objects.insert(key);
    }
  }
  // By its session a writer knows that a pack may be shared: it stays as long as they do.
  for (const SessionId& session : inventory.sessions()) {
    if (!used.contains(session) && inventory.is_known_whole(session)) {
      round.objects.insert(session_key(session));
    }
  }
  for (const std::uint64_t number : moves.numbers()) {
    if (const std::string key = compaction_key(number); !need.objects.contains(key)) {
      round.objects.insert(key);
    }
  }
  return round;
}

}  // namespace hamal::repository
