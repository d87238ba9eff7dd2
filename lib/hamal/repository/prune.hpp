// Dropping versions and deleting what no version needs any more, beside writers and other prunes,
// without a lock (hamal-repository(5), PRUNING). The design is in prune_round.hpp.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hamal/report/log.hpp"
#include "hamal/repository/repository.hpp"
#include "hamal/repository/retention.hpp"
#include "hamal/util/cancel.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/time.hpp"

namespace hamal::repository {

/// What maintenance works with.
struct KeepingContext {
  Repository& repository;
  Logger& log;
  const CancelToken& cancel;
  const Clock& clock;
  unsigned threads = 8;  ///< requests at a time, for what is done to many objects
};

struct PruneOptions {
  RetentionPolicy keep;
  /// Only of these machines are versions dropped; empty: of all.
  std::set<VmName> vms;
  /// Keys of slots to drop whatever the policy says, even a machine's newest version.
  std::set<std::string> drop;
  /// A session that gave no sign of life for so long, by the store's clock, is ended.
  std::chrono::seconds abort_after{std::chrono::hours(24)};
  /// How long running sessions are waited for before the round is left to the next prune.
  std::chrono::seconds wait{0};
  /// Object locks of what is needed are extended to end not before so long from now; 0: are not
  /// looked at.
  std::chrono::seconds extend_locks{0};
};

struct PlannedVersion {
  VersionName name;
  std::string created;
  std::string why;  ///< it stays; empty: it goes
};

/// What a prune run would do.
struct PrunePlan {
  std::vector<PlannedVersion> versions;  ///< all visible, by machine and generation
  CondemnedRound round;                  ///< what goes, if no running session comes to need it
  std::uint64_t freed_bytes = 0;
  std::uint64_t kept_bytes = 0;               ///< of packs and layers
  std::vector<std::uint64_t> pending_rounds;  ///< begun earlier, not done
};

/// Changes nothing. Throws what cannot be read.
PrunePlan plan_prune(const KeepingContext& context, const PruneOptions& options);

struct PruneReport {
  std::set<std::string> dropped;  ///< slots
  std::uint64_t packs = 0;        ///< deleted
  std::uint64_t objects = 0;      ///< deleted, other than packs
  std::uint64_t aborted = 0;      ///< sessions ended
  std::uint64_t locked = 0;       ///< left because an object lock holds them
  std::uint64_t extended = 0;     ///< locks
  /// Of kind busy: a session has to be waited for longer than it may be. What was done until then
  /// holds, and the next run, anywhere, goes on with it.
  std::optional<Error> waits;
};

/// Finishes what earlier runs began, then does what plan_prune() says.
PruneReport prune(const KeepingContext& context, const PruneOptions& options);

/// Waits until every list shows what was put before the call.
void wait_list_lag(const KeepingContext& context);

}  // namespace hamal::repository
