// hamal-sync rollback: a target that a run has been changing becomes its checkpoint again.
#include <fmt/format.h>

#include "common/output.hpp"
#include "hamal-sync/commands.hpp"
#include "hamal/sync/restore_point.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

std::string rollback_text(const Checkpoint& c, bool marked, bool dry_run) {
  const std::string what =
      fmt::format("{}: {}/{} of generation {}, snapshot {}, committed {}\n", c.target_uri,
                  c.vm_name, c.identity.disk_id, c.generation, c.snapshot_id, c.committed);
  if (!marked) {
    return "nothing to roll back on " + what;
  }
  return (dry_run ? "would roll back " : "rolled back ") + what;
}

// Before the first change: a vm that cannot be rolled back whole is left as it is.
void require_clone(const Checkpoint& c, Session& session) {
  State& state = session.state();
  const auto mark = state.find_in_progress(c.identity);
  if (!mark) {
    return;
  }
  require_restore_point(c, *mark, state.installation_id());
  const auto& platforms = session.config().platforms;
  const auto platform = platforms.find(c.identity.platform);
  const std::string type =
      platform == platforms.end() ? c.identity.platform : platform->second.get("type");
  if (!session.config().platform_type(type).skip_disk_flag) {
    require_committed_content(c, *mark, state.disk_flag_key());
  }
}

}  // namespace

int run_rollback_command(const SyncRequest& request, Session& session) {
  State& state = session.state();
  auto found = require_checkpoints(request, session);
  const auto locks = lock_targets(found, request, session);
  for (auto& c : found) {
    // What was committed while we waited for the lock.
    c = state.find_checkpoint(c.identity).value_or(c);
    require_clone(c, session);
  }
  std::string text;
  for (const auto& c : found) {
    const auto mark = state.find_in_progress(c.identity);
    if (mark && !request.dry_run) {
      roll_back(c, *mark, state, session.log());
      session.log().info("{}/{} on {} rolled back to generation {}; the run of {} is undone",
                         c.vm_name, c.identity.disk_id, c.target_uri, c.generation, mark->started);
    }
    text += rollback_text(c, mark.has_value(), request.dry_run);
  }
  write_stdout(session.options().format == ReportFormat::json ? json_lines(found, state) : text,
               session.cancel());
  return 0;
}

}  // namespace hamal
