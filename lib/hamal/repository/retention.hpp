// Which versions of one machine stay (hamal-repo(1), prune).
#pragma once
#include <chrono>
#include <string>
#include <vector>

namespace hamal::repository {

/// How many to keep of each kind, as restic counts: a version is the last of its hour, day, week
/// (ISO), month, year when no newer one is of the same. A count that is not used up also keeps the
/// oldest version. Hours and days are those of this host's time zone.
struct RetentionPolicy {
  unsigned last = 0;
  unsigned hourly = 0;
  unsigned daily = 0;
  unsigned weekly = 0;
  unsigned monthly = 0;
  unsigned yearly = 0;
  /// Everything not older than this before the newest version.
  std::chrono::seconds within{0};

  /// Keeps nothing: to be refused by whoever asks a person.
  bool empty() const noexcept;
};

/// Why each version stays ("last, daily"); empty: it goes. `times` in any order. The newest always
/// stays ("newest" when nothing else keeps it).
std::vector<std::string> reasons_to_keep(
    const RetentionPolicy& policy, const std::vector<std::chrono::system_clock::time_point>& times);

}  // namespace hamal::repository
