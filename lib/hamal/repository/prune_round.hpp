// One prune round, number N, as hamal-repository(5), PRUNING specifies it. Private to this folder.
//
//   condemned/N   what is dropped, and what nobody seems to need: whoever begins to write after
//                 this bases on nothing of it and shares nothing of it
//   awaited/N     the sessions that were registered, and not over, after that: they may have begun
//                 before it. Each fills its slot, or is silent for too long and has it filled
//                 with a tombstone
//   verdicts/N    what of condemned/N no visible version needs, now that all of those are over
//   (deletes)     exactly what verdicts/N names: first compactions become tombstones and dropped
//                 versions too, then packs and layers go, then what their sessions left
//   done/N        condemned/N counts no more (its versions stay dropped)
//
// Every object is put if absent, and what is in the store counts, not what was to be put: any
// number of prunes may work on a round, be killed, sleep for a week and wake up. Deleting is safe
// whenever it happens, because names are never used twice: packs and layers lie under random names
// of sessions, slots are never emptied. So no clock is needed for safety; the store's clock decides
// when a session is silent, and a session that is ended though it lives finds its slot filled.
//
// Compactions become tombstones before packs go: as long as one is visible, a record that it moved
// is read from its new pack, and that pack must not be gone before.
#pragma once
#include <chrono>
#include <cstdint>

#include "hamal/repository/prune_inventory.hpp"

namespace hamal::repository {

/// The numbers that are in use.
struct RoundNumbers {
  std::vector<std::uint64_t> pending;  ///< begun, not done; ascending
  std::uint64_t next = 1;
  friend bool operator==(const RoundNumbers&, const RoundNumbers&) = default;
};
RoundNumbers read_round_numbers(ObjectStore& store);

/// False when a round of that number is there already, whosever it is.
bool put_condemned(const KeepingContext& context, std::uint64_t number,
                   const CondemnedRound& round);

/// From wherever the round stands to done/N; false when it waits for a session (report.waits).
bool finish_round(const KeepingContext& context, const PruneOptions& options, std::uint64_t number,
                  PruneReport& report);

/// What all versions that are visible now need.
Need current_need(const KeepingContext& context);

/// Condemned, less what is needed, and less the sessions that put any of that.
CondemnedRound verdict_of(CondemnedRound condemned, const Need& need);

}  // namespace hamal::repository
