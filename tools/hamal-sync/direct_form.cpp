// hamal-sync --source URI: snapshot, changes, copy and the snapshot's end in one process. The same
// library calls as the pipe of three tools, so the same bytes.
#include <algorithm>

#include "common/repository_access.hpp"
#include "common/snapshot_cycle.hpp"
#include "hamal-sync/commands.hpp"
#include "hamal/sync/commit_version.hpp"
#include "hamal/sync/plan.hpp"
#include "hamal/sync/read_changes.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

// The disks as the platform calls them, under the names they are stored by: a raw image has none
// but what the operator gives it.
struct NamedSource {
  Platform& platform;
  const SnapshotDocument& document;  ///< the platform's
  SnapshotDocument named;            ///< the same disks in the same order

  const SnapshotDisk& disk(const std::string& id) const {
    return document.disks.at(static_cast<std::size_t>(&named.disk(id) - named.disks.data()));
  }
  SyncSource source() const {
    return {[this](const StreamDisk& one) { return platform.open_reader(disk(one.id)); },
            [this](const StreamDisk& one) {
              platform.verify_snapshot(document.vm_id, document.snapshot_id, disk(one.id));
            }};
  }
};

std::size_t position_of(const SnapshotDocument& document, const std::string& disk) {
  return static_cast<std::size_t>(&document.disk(disk) - document.disks.data());
}

NamedSource name_source(const SyncRequest& request, Platform& platform,
                        const SnapshotDocument& document) {
  NamedSource source{platform, document, document};
  if (!request.vm.empty()) {
    source.named.vm_id = request.vm;
    source.named.vm_name = request.vm;
    source.named.disks.at(0).id = request.disks.at(0);
  }
  return source;
}

// What the base of a disk is looked up in, opened when the first disk asks.
class Bases {
 public:
  Bases(const SyncRequest& request, Session& session) : m_request(request), m_session(session) {}

  Base of(const NamedSource& source, const SnapshotDisk& disk, std::size_t index) {
    if (m_request.incremental == Incremental::never) {
      return {"", "--incremental=never"};
    }
    StreamHeader header;
    header.vm_id = source.named.vm_id;
    header.vm_name = source.named.vm_name;
    header.disks.emplace_back().id = disk.id;
    header.disks.back().index = index;
    const Endpoint target = choose_targets(m_request, header, m_session)[0];
    if (!is_repository(target)) {
      return base_on_target(m_session.state(), source.named, disk, target, Interrupted::mended);
    }
    OpenedRepository& repository = open(target);
    return base_of_repository(repository.repository(), repository.uri())(source.named, disk, index);
  }

  OpenedRepository& open(const Endpoint& endpoint) {
    if (!m_repository || m_repository->uri() != endpoint.uri) {
      m_repository = std::make_unique<OpenedRepository>(endpoint, m_session);
    }
    return *m_repository;
  }

 private:
  const SyncRequest& m_request;
  Session& m_session;
  std::unique_ptr<OpenedRepository> m_repository;
};

// Staged and, unless nothing could be, published: here the document is at hand.
SyncResult sync_to_repository(OpenedRepository& repository, const StreamHeader& header,
                              std::vector<PlannedDisk>& disks, const NamedSource& source,
                              const SyncOptions& options, const SyncContext& context,
                              const Session& session) {
  const RepositoryPlace place = repository.place(options.memory_limit / 2);
  RepositoryTarget target(place, header);
  SyncResult result = stage_sync(header, disks, target, source.source(), options, context);
  const bool staged = std::any_of(result.disks.begin(), result.disks.end(),
                                  [](const auto& disk) { return disk.status == ExitStatus::done; });
  if (!options.dry_run && staged && !context.cancel.requested()) {
    context.progress.phase(header.vm_name, "committing", 0);
    const auto committed = commit_version(place, *target.begun(), source.named, context.state);
    if (!committed.not_cached.empty()) {
      session.say_warning(say_not_cached(committed));
    }
    note_committed(result, place, committed.manifest);
    context.progress.done(header.vm_name);
  }
  return result;
}

SyncResult sync_document(const SyncRequest& request, Session& session, Platform& platform,
                         const SnapshotDocument& document) {
  const NamedSource source = name_source(request, platform, document);
  Bases bases(request, session);
  const BaseChooser choose = [&](const SnapshotDocument&, const SnapshotDisk& disk,
                                 std::size_t index) {
    return bases.of(source,
                    source.named.disks.at(static_cast<std::size_t>(&disk - document.disks.data())),
                    index);
  };
  session.progress().phase(document.vm_name, "planning", 0);
  auto changes = read_changes(platform, document, find_disks(source.named, request.disks), choose);
  for (auto& disk : changes) {
    disk.header.id = source.named.disks.at(position_of(document, disk.header.id)).id;
  }
  const StreamHeader header = stream_header(source.named, changes);
  const auto targets = choose_targets(request, header, session);
  auto disks = collect_plans(changes, plan_directory(session, header), session.cancel());
  session.progress().done(document.vm_name);
  const SyncOptions options = sync_options(request, session.config(), document.platform_type);
  if (const auto endpoint = common_repository(targets)) {
    return sync_to_repository(bases.open(*endpoint), header, disks, source, options,
                              sync_context(request, session), session);
  }
  return run_sync(header, disks, targets, source.source(), options, sync_context(request, session));
}

int sync_held(SyncRequest request, Session& session, const Endpoint& endpoint,
              RunMetrics& metrics) {
  const auto platform = session.open_platform(endpoint.platform);
  const SnapshotDocument document = recorded_document(endpoint, session);
  const VmLock lock(session, document.platform, document.vm_id, request.wait, session.cancel());
  session.log().set_vm(document.vm_name);
  request.disks = {endpoint.disk};
  const SyncResult result = sync_document(request, session, *platform, document);
  metrics.note(result);
  return report_result(result, session);
}

// A source that is read as it is: the operator says that nothing writes to it, and platforms that
// can freeze it do.
VmOperand operand_of(const Endpoint& endpoint) {
  switch (endpoint.kind) {
    case EndpointKind::platform:
      return {endpoint.platform, endpoint.vm};
    case EndpointKind::nbd:
      return {"nbd", endpoint.uri};
    case EndpointKind::rbd:
      return {"rbd", endpoint.uri};
    case EndpointKind::file:
    case EndpointKind::device:
      return {"file", endpoint.uri};
    case EndpointKind::directory:
    case EndpointKind::s3:
      throw repository_refused(endpoint);
  }
  throw Error(ErrorKind::usage, "not a source", endpoint.uri);
}

// A raw image is known by its path alone, which says nothing in a repository.
void require_names(const SyncRequest& request, const Endpoint& source) {
  const bool raw = source.kind != EndpointKind::platform;
  if (!request.vm.empty() && !raw) {
    throw Error(ErrorKind::usage, "--vm names the machine of a raw image", source.uri,
                "leave it out: the platform says whose disk it is");
  }
  if (!request.vm.empty() && request.disks.size() != 1) {
    throw Error(ErrorKind::usage, "--vm needs --disk", source.uri,
                "say by which names the image is stored: --vm web01 --disk vda");
  }
  if (raw && request.vm.empty() && !request.target.empty() &&
      (request.target.starts_with("dir:") || request.target.starts_with("s3:"))) {
    throw Error(ErrorKind::usage, "a raw image in a repository needs names", source.uri,
                "say which: --vm web01 --disk vda");
  }
}

}  // namespace

int sync_from_source(const SyncRequest& request, Session& session, RunMetrics& metrics) {
  const Endpoint endpoint = parse_endpoint(request.source);
  require_names(request, endpoint);
  if (endpoint.kind == EndpointKind::platform && !endpoint.snapshot.empty()) {
    return sync_held(request, session, endpoint, metrics);
  }
  SnapshotWish wish{operand_of(endpoint), {}, {}};
  if (endpoint.kind == EndpointKind::platform) {
    wish.options.disks = {endpoint.disk};
  } else if (endpoint.kind != EndpointKind::rbd) {  // Ceph can freeze its images
    wish.options.offline = Offline::yes;
  }
  const auto platform = session.open_platform(wish.vm.platform);
  wish.vm_id = resolve_vm(*platform, session, wish.vm);
  const VmLock lock(session, wish.vm.platform, wish.vm_id, request.wait, session.cancel());
  std::optional<VmLock> named;  // two images by one name are one vm of the repository
  if (!request.vm.empty() && request.vm != wish.vm_id) {
    named.emplace(session, wish.vm.platform, request.vm, request.wait, session.cancel());
  }
  wish.holder = Holder::attached;
  wish.give_up = request.dry_run ? GiveUp::no : GiveUp::yes;
  const AcquiredSnapshot snapshot = acquire_snapshot(wish, session, *platform);
  const SnapshotDocument& document = snapshot.document;
  session.log().set_vm(document.vm_name);
  SyncResult result;
  try {
    result = sync_document(request, session, *platform, document);
    metrics.note(result);
  } catch (...) {
    settle_failed(snapshot, session);
    throw;
  }
  if (result.dry_run) {
    if (snapshot.origin == Origin::created) {
      undo_snapshot(document, session);
    }
  } else if (result.status() == ExitStatus::done) {
    settle_snapshot(document, Outcome::committed, session, *platform);
  } else {
    settle_failed(snapshot, session);
  }
  return report_result(result, session);
}

}  // namespace hamal
