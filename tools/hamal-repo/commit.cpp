// hamal-repo commit: what hamal-sync staged of a snapshot becomes a version.
#include "common/input.hpp"
#include "common/output.hpp"
#include "common/repository_access.hpp"
#include "common/snapshot_cycle.hpp"
#include "hamal-repo/commands.hpp"
#include "hamal-repo/report.hpp"
#include "hamal/sync/commit_version.hpp"

namespace hamal {

int run_commit(const RepoRequest& request, Session& session) {
  const SnapshotDocument document = read_snapshot_document(request.document, session.cancel());
  session.log().set_vm(document.vm_name);
  const VmLock lock(session, document.platform, document.vm_id, request.wait, session.cancel());
  OpenedRepository repository(parse_endpoint(request.repository), session);
  const auto committed = commit_snapshot(repository.place(), document, session.state());
  if (!committed.not_cached.empty()) {
    session.say_warning(say_not_cached(committed));
  }
  write_stdout(report_version(committed.manifest, session.options().format), session.cancel());
  return 0;
}

}  // namespace hamal
