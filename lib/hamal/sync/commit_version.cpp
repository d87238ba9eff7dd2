#include "hamal/sync/commit_version.hpp"

#include <algorithm>

#include "hamal/util/error.hpp"

namespace hamal {
namespace {

Checkpoint checkpoint_of(const RepositoryPlace& place, const repository::Manifest& manifest,
                         const repository::DiskVersion& disk) {
  Checkpoint checkpoint;
  checkpoint.identity = {manifest.vm.platform, manifest.vm.vm_id, disk.id,
                         place.context.repository.store().canonical()};
  checkpoint.vm_name = manifest.vm_name;
  checkpoint.change_id = disk.change_id;
  checkpoint.snapshot_id = manifest.snapshot_id;
  checkpoint.generation = manifest.generation;
  checkpoint.size = disk.size;
  checkpoint.committed = manifest.committed;
  checkpoint.target_uri = place.uri;
  return checkpoint;
}

// The version is committed whatever becomes of its copy here: a state that cannot be written costs
// `hamal-snapshot finish` what it would have kept, and says so.
void cache(const RepositoryPlace& place, const repository::Manifest& manifest, State& state) {
  for (const repository::DiskVersion& disk : manifest.disks) {
    state.cache_checkpoint(checkpoint_of(place, manifest, disk));
  }
}

std::optional<repository::Manifest> find_version(repository::Repository& repository,
                                                 const SnapshotDocument& document) {
  const auto versions = repository.visible_versions({document.platform, document.vm_id});
  const auto found = std::find_if(versions.rbegin(), versions.rend(), [&](const auto& one) {
    return one.snapshot_id == document.snapshot_id;
  });
  return found == versions.rend() ? std::nullopt : std::optional(*found);
}

}  // namespace

repository::Manifest commit_version(const RepositoryPlace& place, repository::WriteSession& session,
                                    const SnapshotDocument& document, State& state) {
  repository::Manifest manifest = session.commit(document);
  cache(place, manifest, state);
  return manifest;
}

repository::Manifest commit_snapshot(const RepositoryPlace& place, const SnapshotDocument& document,
                                     State& state) {
  const auto session = repository::resume_session(
      place.context, {document.platform, document.vm_id}, document.snapshot_id);
  if (session) {
    return commit_version(place, *session, document, state);
  }
  auto manifest = find_version(place.context.repository, document);
  if (!manifest) {
    throw Error(
        ErrorKind::usage, "nothing of this snapshot was staged from here",
        place.uri + " " + document.platform + ":" + document.vm_id + "@" + document.snapshot_id,
        "run hamal-sync with this target first, on this host");
  }
  cache(place, *manifest, state);
  return *manifest;
}

void note_committed(SyncResult& result, const RepositoryPlace& place,
                    const repository::Manifest& manifest) {
  result.version = VersionResult{manifest.generation, repository::to_hex(manifest.session), true};
  for (DiskResult& disk : result.disks) {
    const auto committed = std::find_if(manifest.disks.begin(), manifest.disks.end(),
                                        [&](const auto& one) { return one.id == disk.disk; });
    if (committed != manifest.disks.end() && disk.status == ExitStatus::done) {
      disk.after = checkpoint_of(place, manifest, *committed);
    }
  }
}

}  // namespace hamal
