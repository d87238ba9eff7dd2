// While a target is changed in place it is no restore point (rule 12). Where the file system can,
// a clone of what its checkpoint describes is kept meanwhile, and the target can be rolled back.
//
//   before the mark     the clone is made, durable; one that a killed run left is replaced
//   under a mark        it is never made anew: the target has changed
//   after the commit    it is removed; so after `checkpoint forget`
//   rollback            nothing is finished any more → clone put back → mark removed → clone
//   removed
//
// Killed between any two steps, the next run or rollback does what is left: only ever more is
// copied. All of it is done under the target's lock.
#pragma once
#include <optional>
#include <string>

#include "hamal/report/log.hpp"
#include "hamal/state/state.hpp"
#include "hamal/sync/disk_flag_check.hpp"

namespace hamal {

/// What a run that is about to mark its target knows of it.
struct RestoreQuestion {
  std::string target;  ///< canonical
  std::string object;  ///< as the log names it
  const std::optional<Checkpoint>& checkpoint;
  const std::optional<InProgress>& mark;  ///< what an interrupted run left
  FlagVerdict flag = FlagVerdict::none;
  bool target_created = false;  ///< by this run: the file that the checkpoint describes is gone
};

/// The path for the new mark; empty: the target cannot be rolled back. Fails no run.
std::string keep_restore_point(const RestoreQuestion& question, const std::string& installation,
                               Logger& log);

/// No mark names it any more. What cannot be removed is named in the log; a clone is left then.
void drop_restore_point(const std::string& target, const std::string& installation, Logger& log);

/// A target that is in progress: whether there is a clone to go back to.
bool can_roll_back(const Checkpoint& checkpoint, const InProgress& mark,
                   const std::string& installation);
/// Throws Error when there is none.
void require_restore_point(const Checkpoint& checkpoint, const InProgress& mark,
                           const std::string& installation);

/// Throws Error(wrong_target) when the clone of such a target is not what was committed, as far as
/// the samples of its disk flag tell; without samples there is nothing to tell.
void require_committed_content(const Checkpoint& checkpoint, const InProgress& mark,
                               const std::string& key);

/// Puts the target back to its checkpoint. Throws Error when there is no clone.
void roll_back(const Checkpoint& checkpoint, const InProgress& mark, State& state, Logger& log);

}  // namespace hamal
