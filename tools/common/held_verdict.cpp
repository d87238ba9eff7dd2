#include "common/held_verdict.hpp"

#include <fmt/core.h>

#include "hamal/util/time.hpp"
#include "hamal/util/units.hpp"

namespace hamal {
namespace {

using std::chrono::milliseconds;
using WallTime = std::chrono::system_clock::time_point;

std::string text_of(milliseconds duration) {
  return format_duration(std::chrono::duration_cast<std::chrono::seconds>(duration));
}

std::string too_old(const LeftSnapshot& snapshot, milliseconds max_hold) {
  return fmt::format("it is {} old and snapshot_max_hold is {}", text_of(snapshot.age),
                     text_of(max_hold));
}

}  // namespace

SnapshotAge snapshot_age(const std::string& created, WallTime now) {
  const auto when = parse_rfc3339(created);
  if (!when || *when > now) {
    return {milliseconds{0}, false};
  }
  return {std::chrono::duration_cast<milliseconds>(now - *when), true};
}

Verdict judge_for_next_run(const LeftSnapshot& snapshot, Fresh fresh, milliseconds max_hold,
                           NextRun next) {
  if (!snapshot.marked) {
    if (snapshot.checkpoint) {
      return {Fate::finish, "a run committed it and was killed before it ended it"};
    }
    if (snapshot.recorded == k_attached) {
      return {Fate::end, "the run that made it is dead and left nothing to resume"};
    }
    if (snapshot.recorded == k_period && next == NextRun::of_period) {
      return {Fate::end, "the run of hamal-period that made it has ended or is dead"};
    }
    return {Fate::leave, "it was handed out and may be in use"};
  }
  if (fresh == Fresh::yes) {
    return {Fate::end, "a fresh one was asked for"};
  }
  return judge_after_run(snapshot, max_hold);
}

Verdict judge_after_run(const LeftSnapshot& snapshot, milliseconds max_hold) {
  if (!snapshot.marked) {
    return {Fate::end, "no interrupted run needs it"};
  }
  if (!snapshot.unusable.empty()) {
    return {Fate::end, snapshot.unusable};
  }
  if (snapshot.age >= max_hold) {
    return {Fate::end, too_old(snapshot, max_hold)};
  }
  return {Fate::resume, "an interrupted run goes on from it"};
}

Verdict judge_stale(const LeftSnapshot& snapshot, milliseconds max_hold, milliseconds older_than) {
  if (snapshot.checkpoint && snapshot.recorded.empty()) {
    return {Fate::leave, "a checkpoint names it"};
  }
  const Fate end = snapshot.checkpoint ? Fate::finish : Fate::end;
  if (snapshot.marked) {
    // However short --older-than is: what a failed run needs is given up by the configuration
    // alone.
    return snapshot.age >= max_hold ? Verdict{end, too_old(snapshot, max_hold)}
                                    : Verdict{Fate::leave, "an interrupted run goes on from it"};
  }
  if (snapshot.recorded.empty()) {
    return {Fate::end, "the run that made it was killed before it was recorded"};
  }
  if (snapshot.recorded == k_attached) {
    return {end, "the run that made it is dead"};
  }
  if (snapshot.age >= older_than) {
    return {end, "it was handed out " + text_of(snapshot.age) + " ago"};
  }
  return {Fate::leave, "it was handed out " + text_of(snapshot.age) + " ago and may be in use"};
}

}  // namespace hamal
