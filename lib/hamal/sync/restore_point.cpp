#include "hamal/sync/restore_point.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "hamal/block/block_reader.hpp"
#include "hamal/block/endpoint.hpp"
#include "hamal/extent/sources.hpp"
#include "hamal/sync/disk_flag.hpp"
#include "hamal/target/restore_clone.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

ClonedDisk cloned(const Checkpoint& checkpoint) {
  const DiskIdentity& of = checkpoint.identity;
  return {checkpoint.generation, of.platform + "\n" + of.vm_id + "\n" + of.disk_id};
}

}  // namespace

std::string keep_restore_point(const RestoreQuestion& question, const std::string& installation,
                               Logger& log) {
  const RestoreClone clone(question.target, installation);
  if (question.mark) {
    // Half changed: only the clone of before is the checkpoint's.
    return question.checkpoint && can_roll_back(*question.checkpoint, *question.mark, installation)
               ? question.mark->restore_path
               : std::string();
  }
  drop_restore_point(question.target, installation, log);  // what a killed run left
  // Gone, given away, or written by somebody else: it is not what its checkpoint says.
  if (!question.checkpoint || !question.checkpoint->released.empty() ||
      question.flag == FlagVerdict::overridden || question.target_created || clone.path().empty()) {
    return {};
  }
  const std::string missing = clone.make(cloned(*question.checkpoint));
  if (!missing.empty()) {
    log.info("{}: no restore point while it is changed: {}", question.object, missing);
    return {};
  }
  log.info("{}: generation {} is kept in {} until the run has committed", question.object,
           question.checkpoint->generation, clone.path().string());
  return clone.path().string();
}

void drop_restore_point(const std::string& target, const std::string& installation, Logger& log) {
  const RestoreClone clone(target, installation);
  try {
    clone.remove();  // what is not ours stays, and is nobody's concern here
  } catch (const Error& error) {
    log.warning("the clone of {} is left: {}", target, error.what());
  }
}

bool can_roll_back(const Checkpoint& checkpoint, const InProgress& mark,
                   const std::string& installation) {
  const RestoreClone clone(checkpoint.identity.target, installation);
  return !mark.restore_path.empty() && mark.restore_path == clone.path() &&
         clone.holds(cloned(checkpoint));
}

void require_restore_point(const Checkpoint& checkpoint, const InProgress& mark,
                           const std::string& installation) {
  if (!can_roll_back(checkpoint, mark, installation)) {
    throw Error(ErrorKind::failed,
                mark.restore_path.empty()
                    ? "cannot be rolled back: no clone was made before the run of " + mark.started +
                          " changed it"
                    : "cannot be rolled back: its clone is gone: " + mark.restore_path,
                checkpoint.target_uri, "sync it again: a run that commits makes it whole");
  }
}

void require_committed_content(const Checkpoint& checkpoint, const InProgress& mark,
                               const std::string& key) {
  const auto clone = open_block_reader(parse_endpoint(file_uri(mark.restore_path)));
  const FlagComparison found = compare_disk_flag(
      *clone, key, checkpoint,
      parse_disk_flag(checkpoint.disk_flag, checkpoint.size, checkpoint.target_uri),
      *empty_source());
  if (found.wrong > 0) {
    throw Error(ErrorKind::wrong_target,
                fmt::format("cannot be rolled back: its clone is not what was committed as "
                            "generation {}: it differs at offset {} ({} of {} samples differ)",
                            checkpoint.generation, found.first_wrong, found.wrong, found.compared),
                checkpoint.target_uri, "sync it again: a run that commits makes it whole");
  }
}

void roll_back(const Checkpoint& checkpoint, const InProgress& mark, State& state, Logger& log) {
  const std::string installation = state.installation_id();
  require_restore_point(checkpoint, mark, installation);
  // Killed after the next step, a run that goes on would leave out what it takes for written.
  state.record_finished(mark.identity, {});
  const RestoreClone clone(checkpoint.identity.target, installation);
  clone.put_back(checkpoint.target_uri);
  state.clear_in_progress(mark.identity);
  drop_restore_point(checkpoint.identity.target, installation, log);
  if (!mark.plan_path.empty()) {
    ::unlink(mark.plan_path.c_str());
  }
}

}  // namespace hamal
