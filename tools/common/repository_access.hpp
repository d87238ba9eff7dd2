// A repository as a tool's target: opened once, with what a session of it needs.
#pragma once
#include <memory>
#include <vector>

#include "common/session.hpp"
#include "hamal/block/endpoint.hpp"
#include "hamal/repository/repository.hpp"
#include "hamal/sync/repository_target.hpp"

namespace hamal {

bool is_repository(const Endpoint& endpoint);

/// The repository that all of them are; nullopt when none is one. Throws Error(usage) when some are
/// and others are not, or are others.
std::optional<Endpoint> common_repository(const std::vector<Endpoint>& targets);

class OpenedRepository {
 public:
  /// Asks the store. Throws Error(usage) when there is no repository.
  OpenedRepository(const Endpoint& endpoint, Session& session);

  repository::Repository& repository() { return *m_repository; }
  const std::string& uri() const noexcept { return m_uri; }
  /// `memory`: for packs that wait to be put, bytes.
  RepositoryPlace place(std::uint64_t memory);
  RepositoryPlace place() { return place(m_session.config().sync.memory_limit / 2); }

 private:
  Session& m_session;
  std::string m_uri;
  std::unique_ptr<repository::Repository> m_repository;
};

}  // namespace hamal
