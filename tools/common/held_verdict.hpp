// What becomes of a snapshot that an earlier run left: decisions without a platform or a state
// (rules 3, 8 and 11).
//
//   recorded as   who holds it                       the next run          delete --stale
//   intended      a create that was killed           ends what it made     the same
//   attached      a run that had the vm's lock: it   ends it               ends it
//                 is dead when we have it
//   period        a run of hamal-period, perhaps of  ends it, if it is a   as created
//                 another proxy: it is dead when     run of hamal-period,
//                 another one has the vm             else leaves it (busy)
//   created       whoever was given the document     leaves it (busy)      ends it once older than
//                                                                          the bound
//   … and named   a loop that was killed between     ends it as committed  the same, once older
//   by a          commit and finish
//   checkpoint
//   any of them, named by an in-progress mark        resumes it until snapshot_max_hold, then ends
//   it
#pragma once
#include <chrono>
#include <string>

namespace hamal {

inline constexpr const char* k_intended = "intended";
inline constexpr const char* k_attached = "attached";
inline constexpr const char* k_created = "created";
inline constexpr const char* k_period = "period";

struct SnapshotAge {
  std::chrono::milliseconds age{0};
  /// False when there is no creation time or it lies in the future (the clock was set back): the
  /// age is 0 then, and only a new creation time makes it grow.
  bool known = true;
};

/// `created` is RFC 3339.
SnapshotAge snapshot_age(const std::string& created, std::chrono::system_clock::time_point now);

/// What is known of one snapshot of ours while we hold its vm's lock.
struct LeftSnapshot {
  std::string recorded;  ///< the state of its record; empty: there is none
  std::chrono::milliseconds age{0};
  bool marked = false;      ///< an in-progress mark names it
  bool checkpoint = false;  ///< a checkpoint names it
  /// Why nobody can go on from it: gone, broken, or not what was asked for. Empty: one can.
  std::string unusable;
};

/// `finish` ends what was committed: what the checkpoint counts from stays, whatever that takes on
/// the platform.
enum class Fate { resume, end, finish, leave };

struct Verdict {
  Fate fate = Fate::leave;
  std::string reason;
};

enum class Fresh { no, yes };

/// Who wants a snapshot of this vm.
enum class NextRun { by_hand, of_period };
Verdict judge_for_next_run(const LeftSnapshot& snapshot, Fresh fresh,
                           std::chrono::milliseconds max_hold, NextRun next);
/// At the end of its run: Fate::resume keeps it held for the next one, the other is end.
Verdict judge_after_run(const LeftSnapshot& snapshot, std::chrono::milliseconds max_hold);
/// For delete --stale: end or leave. `older_than` bounds what was handed out.
Verdict judge_stale(const LeftSnapshot& snapshot, std::chrono::milliseconds max_hold,
                    std::chrono::milliseconds older_than);

}  // namespace hamal
