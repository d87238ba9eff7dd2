#include "common/repository_access.hpp"

#include <algorithm>

#include "hamal/store/open_store.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

bool is_repository(const Endpoint& endpoint) {
  return endpoint.kind == EndpointKind::directory || endpoint.kind == EndpointKind::s3;
}

std::optional<Endpoint> common_repository(const std::vector<Endpoint>& targets) {
  const auto first = std::find_if(targets.begin(), targets.end(), is_repository);
  if (first == targets.end()) {
    return std::nullopt;
  }
  for (const Endpoint& target : targets) {
    if (target.uri != first->uri) {
      throw Error(ErrorKind::usage,
                  "the disks of a run go into one repository, or none of them goes into one",
                  target.uri, "run hamal-sync once per repository: " + first->uri);
    }
  }
  return *first;
}

OpenedRepository::OpenedRepository(const Endpoint& endpoint, Session& session)
    : m_session(session),
      m_uri(endpoint.uri),
      m_repository(repository::open_repository(
          open_object_store(endpoint, session.config(), session.cancel()), session.config())) {}

RepositoryPlace OpenedRepository::place(std::uint64_t memory) {
  const auto directory = std::filesystem::path(m_session.config().defaults.hamal_lib_dir) /
                         "repository" / m_repository->id();
  return {{*m_repository, directory, m_session.log(), m_session.cancel(), system_clock(),
           m_session.config().sync.outage_max, memory, m_session.config().repository.compression,
           [this] { m_session.check_leases(); }},
          m_uri};
}

}  // namespace hamal
