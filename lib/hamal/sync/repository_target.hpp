// A repository as the target of a run: where the checkpoints of its disks are looked up, and the
// session in which they are staged, begun when the first disk is about to be written.
#pragma once
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "hamal/repository/write_session.hpp"
#include "hamal/state/state.hpp"
#include "hamal/stream/stream_header.hpp"
#include "hamal/sync/read_changes.hpp"

namespace hamal {

/// What of a repository a run needs. References outlive the run.
struct RepositoryPlace {
  repository::SessionContext context;
  std::string uri;  ///< as the operator wrote it
};

/// The checkpoint that a repository has of a disk; nullopt: no visible version includes it.
std::optional<Checkpoint> repository_checkpoint(repository::Repository& repository,
                                                const DiskIdentity& disk,
                                                const std::string& vm_name, const std::string& uri);
/// Where the changes for a repository count from. The repository outlives the chooser.
BaseChooser base_of_repository(repository::Repository& repository, const std::string& uri);

/// Thread-safe.
class RepositoryTarget {
 public:
  /// `header` says whose session it is.
  RepositoryTarget(const RepositoryPlace& place, const StreamHeader& header)
      : m_place(place), m_header(header) {}

  const std::string& uri() const noexcept { return m_place.uri; }
  const std::string& canonical() { return m_place.context.repository.store().canonical(); }
  std::optional<Checkpoint> checkpoint(const std::string& disk_id);
  /// Gone on with or begun when first asked for.
  repository::WriteSession& session();
  /// What of the version that an incremental builds on was marked as damaged: stored again
  /// (repository/damaged.hpp).
  ExtentSourcePtr damaged(const StreamDisk& disk);
  /// One that an earlier process began for this snapshot, or session() returned; null: none.
  repository::WriteSession* find_session();
  /// What the session came to be, for the result; null when none was begun.
  repository::WriteSession* begun() noexcept { return m_session.get(); }

 private:
  const RepositoryPlace& m_place;
  const StreamHeader& m_header;
  std::mutex m_mutex;
  std::unique_ptr<repository::WriteSession> m_session;
};

}  // namespace hamal
