// Our snapshots of a vm: made, found by name, removed.
//
// A snapshot's id is its name, hamal-MARK-RANDOM, which is known before it is made: so a snapshot
// whose creation was never answered is found again. The description begins with the same word and
// says which disks it was made for: "hamal-… disks=1,2 …".
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hamal/platform/fusioncompute/settings.hpp"
#include "hamal/platform/fusioncompute/task.hpp"
#include "hamal/platform/fusioncompute/vrm_reply.hpp"
#include "hamal/report/log.hpp"

namespace hamal::fusioncompute {

std::string new_snapshot_id(const std::string& mark);
/// The id of one of hamal's; empty: somebody else's.
std::string hamal_id(const Snapshot& snapshot);
/// Whether the id is of the installation of that mark.
bool is_of(std::string_view id, const std::string& mark);
std::string description_of(const std::string& id, const std::vector<Disk>& disks);
/// The ids of the disks it was made for ("disk1"); none when it does not say.
std::vector<std::string> disks_in(const Snapshot& snapshot);
/// nullptr when it is not there.
const Snapshot* find_snapshot(const std::vector<Snapshot>& all, const std::string& id);
/// Whether `urn` is a (grand)parent of `snapshot`.
bool is_ancestor(const std::vector<Snapshot>& all, const std::string& urn,
                 const Snapshot& snapshot);

enum class Consistent { no, yes };

/// One vm's snapshots, over one session. Not thread-safe. References outlive it.
class Snapshots {
 public:
  Snapshots(VrmClient& client, const Settings& settings, Logger& log, Machine machine)
      : m_client(client), m_settings(settings), m_log(log), m_machine(std::move(machine)) {}

  /// As they are now.
  std::vector<Snapshot> list();
  SnapshotDetail detail(const Snapshot& snapshot);
  /// Waits for the end of it. When the reply is lost, looks whether the server did it before it is
  /// asked again, once. What there is when it throws is removed by remove().
  void create(const std::string& id, const std::string& description, Consistent consistent);
  /// Nothing when it is not there (any more). Waits for a creation that is still going on. Those
  /// that it outran go first: without it nobody sees that they are no bases.
  void remove(const std::string& id);
  /// Removes what no change may be counted from any more: snapshots of the same installation below
  /// `newer` of `all` whose chgID it does not exceed though tracking goes on, as after a restart of
  /// the host. The next chgID would look as if it followed theirs.
  void remove_outrun(const std::vector<Snapshot>& all, const Snapshot& newer);

 private:
  bool was_created(const std::string& id);
  std::optional<SnapshotDetail> seek_detail(const Snapshot& snapshot);
  void start(const std::string& body, const std::string& what);
  Patience create_patience() const;

  VrmClient& m_client;
  const Settings& m_settings;
  Logger& m_log;
  Machine m_machine;
};

}  // namespace hamal::fusioncompute
