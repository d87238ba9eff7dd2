// What is in the store, and whose it is. Private to this folder.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hamal/repository/need.hpp"
#include "hamal/repository/prune.hpp"
#include "hamal/repository/session_object.hpp"

namespace hamal::repository {

/// Each machine's visible versions, ascending by generation. Memory: those of one machine.
void for_each_vm(const KeepingContext& context, const std::set<std::string>& dropped,
                 const std::function<void(const VmName&, std::vector<Manifest>&)>& each);

/// sessions/ID, read.
SessionObject read_session(ObjectStore& store, const std::string& key);

/// Lists of everything that prune may delete. The slots come first, and again at the end. The packs
/// come first and the sessions later: a pack whose session is not listed belongs to one that prune
/// has deleted, and so its slot is filled.
class Inventory {
 public:
  explicit Inventory(const KeepingContext& context);

  const std::map<PackName, std::uint64_t>& packs() const noexcept { return m_packs; }
  /// Layers, by key.
  const std::map<std::string, std::uint64_t>& layers() const noexcept { return m_layers; }
  /// Everything else that belongs to a session and is of no use once its slot is filled.
  const std::set<std::string>& leftovers() const noexcept { return m_leftovers; }
  const std::set<SessionId>& sessions() const noexcept { return m_sessions; }
  /// The slot of the session is filled, whoever filled it: nothing it puts will be needed any more
  /// if it is not by now.
  bool is_resolved(const SessionId& session);
  /// It was so before anything was listed: packs() and layers() have all that it put.
  bool is_known_whole(const SessionId& session);

 private:
  const std::string& slot_of(const SessionId& session);

  const KeepingContext& m_context;
  std::map<PackName, std::uint64_t> m_packs;
  std::map<std::string, std::uint64_t> m_layers;
  std::set<std::string> m_leftovers;
  std::set<SessionId> m_sessions;
  std::set<std::string> m_filled;         // slots
  std::set<std::string> m_filled_before;  // slots, before all other lists
  std::map<SessionId, std::string> m_slots;
};

/// "KIND/ID/…" or "KIND/ID": the id.
std::optional<SessionId> session_of_key(std::string_view key);

/// What may go when the versions that stay need `need` and `dropped` are dropped: packs, layers,
/// compactions, and what sessions left behind.
CondemnedRound candidates(Inventory& inventory, const Moves& moves, const Need& need,
                          std::set<std::string> dropped);

}  // namespace hamal::repository
