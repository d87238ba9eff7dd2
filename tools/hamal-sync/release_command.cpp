// hamal-sync release: a replica is about to be booted or handed over.
#include <fmt/format.h>

#include "common/output.hpp"
#include "hamal-sync/commands.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/time.hpp"

namespace hamal {
namespace {

// What happened to one target, and what follows from it.
std::string release_text(const Checkpoint& c, bool dry_run, State& state) {
  std::string text = fmt::format("{} {}: {}/{} of generation {}, committed {}\n",
                                 dry_run ? "would release" : "released", c.target_uri, c.vm_name,
                                 c.identity.disk_id, c.generation, c.committed);
  if (const std::string status = restore_point_text(c, state); !status.empty()) {
    text +=
        "  NOT A RESTORE POINT: a run was interrupted while it changed this target; let one commit "
        "first, or roll back where that is possible\n  " +
        status + "\n";
  }
  return text + "  the next run onto it is a full copy and overwrites what is written there\n";
}

}  // namespace

int run_release_command(const SyncRequest& request, Session& session) {
  auto found = require_checkpoints(request, session);
  for (const Checkpoint& c : found) {
    if (c.identity.target.starts_with("dir:") || c.identity.target.starts_with("s3:")) {
      throw Error(ErrorKind::usage, "a repository is not given away: its versions are restored",
                  c.target_uri, "name the target that is, with --target");
    }
  }
  // All locks before the first change: a vm that is being synced is released whole or not at all.
  const auto locks = lock_targets(found, request, session);
  const std::string now = rfc3339(system_clock().wall());
  std::string text;
  for (auto& c : found) {
    // What was committed while we waited for the lock.
    c = session.state().find_checkpoint(c.identity).value_or(c);
    if (!request.dry_run && c.released.empty()) {
      if (!session.state().release_target(c.identity, now)) {
        throw Error(ErrorKind::failed, "the checkpoint was forgotten meanwhile", c.target_uri);
      }
      c.released = now;
      session.log().info("{}/{} on {} released at generation {}", c.vm_name, c.identity.disk_id,
                         c.target_uri, c.generation);
    }
    text += release_text(c, request.dry_run, session.state());
  }
  write_stdout(
      session.options().format == ReportFormat::json ? json_lines(found, session.state()) : text,
      session.cancel());
  return 0;
}

}  // namespace hamal
