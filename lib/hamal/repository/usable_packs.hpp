// Which packs a session may share: those that are in the store now, were not condemned when the
// session began, from which no compaction moved anything, and whose session's slot is filled, or is
// our own (hamal-repository(5), SESSIONS). Asked of the store session by session, when a record of
// one is found in the cache.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "hamal/repository/moved.hpp"
#include "hamal/repository/patience.hpp"
#include "hamal/repository/repository.hpp"

namespace hamal::repository {

/// Thread-safe.
class UsablePacks {
 public:
  /// `own`: of the session itself, whether a pack is durable.
  UsablePacks(Repository& repository, Patience patience, const SessionId& session, std::string slot,
              Condemned condemned, std::function<bool(std::uint32_t)> own);
  bool usable(const PackName& pack);

 private:
  std::set<std::uint32_t> ask(const SessionId& session);

  Repository& m_repository;
  Patience m_patience;
  SessionId m_session;
  std::string m_slot;
  Condemned m_condemned;
  std::shared_ptr<const Moves> m_moves;  // of after it was known what is condemned
  std::function<bool(std::uint32_t)> m_own;
  std::mutex m_mutex;
  std::map<SessionId, std::set<std::uint32_t>> m_known;
};

/// The numbers of the packs that are listed under a session.
std::set<std::uint32_t> list_packs(ObjectStore& store, const SessionId& session);

}  // namespace hamal::repository
