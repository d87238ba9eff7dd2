#include "hamal/sync/commit_version.hpp"

#include <fmt/core.h>

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

// The version is committed whatever becomes of its copy here: a state that cannot be written, or a
// lease that was lost meanwhile, makes it no less so.
CommittedVersion cached(const RepositoryPlace& place, repository::Manifest manifest, State& state) {
  CommittedVersion committed{std::move(manifest), {}};
  try {
    for (const repository::DiskVersion& disk : committed.manifest.disks) {
      state.cache_checkpoint(checkpoint_of(place, committed.manifest, disk));
    }
  } catch (const Error& error) {
    committed.not_cached = error.what();
    place.context.log.warning("{}", say_not_cached(committed));
  }
  return committed;
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

std::string say_not_cached(const CommittedVersion& committed) {
  return fmt::format(
      "version {} of {}:{} is committed, not cached: {}; the next run counts from it all the same, "
      "or is a full where the platform forgets its snapshot meanwhile; `hamal-repo commit` again "
      "caches it",
      committed.manifest.generation, committed.manifest.vm.platform, committed.manifest.vm.vm_id,
      committed.not_cached);
}

CommittedVersion commit_version(const RepositoryPlace& place, repository::WriteSession& session,
                                const SnapshotDocument& document, State& state) {
  return cached(place, session.commit(document), state);
}

CommittedVersion commit_snapshot(const RepositoryPlace& place, const SnapshotDocument& document,
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
  return cached(place, std::move(*manifest), state);
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
