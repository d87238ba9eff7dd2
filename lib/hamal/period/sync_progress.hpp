// How far a run is: what hamal-sync says of its disks (--progress json), added up.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace hamal::period {

enum class RunPhase { waiting, snapshot, copy, finish };

struct RunProgress {
  RunPhase phase = RunPhase::waiting;
  std::uint64_t read_bytes = 0;
  std::uint64_t total_bytes = 0;  ///< 0: not known
};

/// The disks of one hamal-sync. Not thread-safe.
class SyncProgress {
 public:
  /// A line as people read it; nullopt, and nothing changed, when it is no progress.
  std::optional<std::string> take(std::string_view line);
  /// Of all disks so far; the total is known when each disk's is.
  RunProgress sum() const;

 private:
  struct Disk {
    std::uint64_t done = 0;
    std::uint64_t total = 0;
  };
  std::map<std::string, Disk> m_disks;
};

}  // namespace hamal::period
