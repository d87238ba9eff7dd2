// Making room where packs hold little that is needed (hamal-repository(5), COMPACTION).
//
// A compaction is a session whose slot is compactions/N: it registers, lists what is condemned,
// reads what is visible, copies the records that are needed of sparse packs into packs of its own,
// as they are stored, and publishes where they went by filling its slot. It deletes nothing: from
// that moment nothing needs the old packs (but for records that it did not move, and those keep
// them), and the next prune round takes them. A run that shared a record of an old pack meanwhile
// refers to the old place: the published moves lead its readers to the new one, or the record was
// not moved and keeps the old pack.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>

#include "hamal/repository/prune.hpp"

namespace hamal::repository {

struct CompactionOptions {
  /// Packs with less than this part needed are emptied.
  unsigned sparse_percent = 50;
  /// So many records at most; the next compaction goes on.
  std::uint64_t most_records = 4U << 20;
  /// Where a scratch file without a name is made.
  std::filesystem::path scratch;
  /// Names the session; tests that must repeat themselves have their own.
  std::function<SessionId()> new_session = random_session_id;
};

struct CompactionReport {
  std::uint64_t packs = 0;         ///< in the repository
  std::uint64_t sparse_packs = 0;  ///< of those, emptied now
  std::uint64_t sparse_bytes = 0;  ///< of those
  std::uint64_t live_bytes = 0;    ///< of them needed: copied
  std::uint64_t new_packs = 0;
  std::uint64_t damaged = 0;  ///< records that were left where they are
  bool more = false;          ///< most_records was reached
};

/// What compact() would do. Changes nothing.
CompactionReport plan_compaction(const KeepingContext& context, const CompactionOptions& options);

/// Throws Error(busy) when another compaction, or a prune that held this one for dead, has taken
/// the slot: what was copied is garbage for the next prune.
CompactionReport compact(const KeepingContext& context, const CompactionOptions& options);

}  // namespace hamal::repository
