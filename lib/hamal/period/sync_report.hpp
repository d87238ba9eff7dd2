// What the result of hamal-sync (its --json) says, as far as a job needs it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace hamal::period {

struct SyncReport {
  std::string mode;                ///< full, incremental or full+incremental; empty: not known
  std::uint64_t read_bytes = 0;    ///< all disks together
  std::vector<std::string> disks;  ///< a line for each, for the log of the vm
  std::string error;               ///< of the first disk that failed
};

/// A text that is none gives an empty report: what counts is the exit status.
SyncReport parse_sync_report(const std::string& json);

}  // namespace hamal::period
