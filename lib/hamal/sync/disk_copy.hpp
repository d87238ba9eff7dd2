// The copy of one disk through outages: as often as the source or the target goes away, everything
// since the last good flush is given up, both are opened again, and the rest is copied.
//
//            ┌──────────────── an error that may pass ────────────────┐
//            ▼                                                        │
//   open, identify ──► copy what is not durable ──► flush ──► (done)  │
//            │   └────────────────┴──────────────────┴────────────────┘
//            └─ outage_max without durable progress, or another error: thrown
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "hamal/block/block_reader.hpp"
#include "hamal/block/block_writer.hpp"
#include "hamal/report/log.hpp"
#include "hamal/sync/copy.hpp"
#include "hamal/sync/durable_progress.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

/// What was read is no more: not an outage of hours, at most of the seconds in which a server
/// starts.
class SnapshotGone final : public Error {
 public:
  explicit SnapshotGone(const Error& error) : Error(error) {}
};

struct DiskCopyRequest {
  /// Opens the source once more; throws unless it is the disk it was, SnapshotGone when its server
  /// answers and says that it is not.
  std::function<std::unique_ptr<BlockReader>()> open_source;
  /// Opens the target once more, after the one before was closed; throws unless it is the same.
  std::function<BlockWriter&()> reopen_target;
  /// All that is to be copied, from its start.
  std::function<ExtentSourcePtr()> plan;
  Blank blank = Blank::no;
  CopyPace pace;
  std::string object;
  std::uint64_t total = 0;  ///< bytes of the plan, for progress
  std::chrono::milliseconds outage_max{0};
  /// A server that is being restarted says odd things for a moment: no socket, no such export.
  std::chrono::milliseconds restart_grace{10'000};
  Progress& progress;
  Logger& log;
  const CancelToken& cancel;
};

/// What the attempts of one copy came to.
struct DiskCopyStats {
  CopyStats copied;
  unsigned outages = 0;
};

/// Returns when all of the plan is durable on the target, but for `unreadable` ranges. Otherwise
/// throws, with `durable` recorded and `stats` of what was done. An outage that does not end in
/// time is a transient error.
void copy_disk(const DiskCopyRequest& request, std::unique_ptr<BlockReader> source,
               BlockWriter& target, DurableProgress& durable, DiskCopyStats& stats);

}  // namespace hamal
