#include "hamal/sync/repository_target.hpp"

#include "hamal/extent/sources.hpp"
#include "hamal/repository/damaged.hpp"

namespace hamal {
namespace {

std::string base_reason(const Base& base, const std::string& uri) {
  return base.change_id.empty() ? base.reason : base.reason + " in " + uri;
}

}  // namespace

std::optional<Checkpoint> repository_checkpoint(repository::Repository& repository,
                                                const DiskIdentity& disk,
                                                const std::string& vm_name,
                                                const std::string& uri) {
  const auto base = repository::find_base(repository, {disk.platform, disk.vm_id}, disk.disk_id);
  if (!base) {
    return std::nullopt;
  }
  Checkpoint checkpoint;
  checkpoint.identity = disk;
  checkpoint.vm_name = vm_name;
  checkpoint.change_id = base->disk.change_id;
  checkpoint.snapshot_id = base->snapshot_id;
  checkpoint.generation = base->generation;
  checkpoint.size = base->disk.size;
  checkpoint.committed = base->committed;
  checkpoint.target_uri = uri;
  return checkpoint;
}

BaseChooser base_of_repository(repository::Repository& repository, const std::string& uri) {
  return [&repository, uri](const SnapshotDocument& document, const SnapshotDisk& disk,
                            std::size_t) {
    const DiskIdentity identity{document.platform, document.vm_id, disk.id,
                                repository.store().canonical()};
    Base base =
        base_of_checkpoint(disk, repository_checkpoint(repository, identity, document.vm_name, uri),
                           std::nullopt, Interrupted::not_mended);
    base.reason = base_reason(base, uri);
    return base;
  };
}

std::optional<Checkpoint> RepositoryTarget::checkpoint(const std::string& disk_id) {
  return repository_checkpoint(m_place.context.repository,
                               {m_header.platform, m_header.vm_id, disk_id, canonical()},
                               m_header.vm_name, m_place.uri);
}

ExtentSourcePtr RepositoryTarget::damaged(const StreamDisk& disk) {
  const auto base = disk.mode == SyncMode::incremental ? session().base(disk.id) : std::nullopt;
  return base ? repository::damaged_extents(m_place.context.repository, *base, session().damaged())
              : empty_source();
}

repository::WriteSession* RepositoryTarget::find_session() {
  const std::lock_guard lock(m_mutex);
  if (!m_session) {
    m_session = repository::resume_session(m_place.context, {m_header.platform, m_header.vm_id},
                                           m_header.snapshot_id);
  }
  return m_session.get();
}

repository::WriteSession& RepositoryTarget::session() {
  const std::lock_guard lock(m_mutex);
  if (!m_session) {
    m_session = repository::begin_session(m_place.context, {m_header.platform, m_header.vm_id},
                                          m_header.vm_name, m_header.snapshot_id);
  }
  return *m_session;
}

}  // namespace hamal
