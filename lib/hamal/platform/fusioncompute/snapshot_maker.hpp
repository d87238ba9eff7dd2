// Makes the snapshot of a run: prechecks, which disks, and the document.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "hamal/platform/fusioncompute/change_id.hpp"
#include "hamal/platform/fusioncompute/settings.hpp"
#include "hamal/platform/fusioncompute/snapshots.hpp"
#include "hamal/platform/platform.hpp"

namespace hamal::fusioncompute {

/// The change id of a volume at a snapshot of that machine; empty when the snapshot has no count.
std::string change_id_of(const Machine& machine, const Disk& disk, const Snapshot& snapshot,
                         const VolumeSnapshot& volume);
/// nullptr when the snapshot does not hold it.
const VolumeSnapshot* find_volume(const SnapshotDetail& detail, const std::string& volume_urn);

class SnapshotMaker {
 public:
  SnapshotMaker(std::shared_ptr<VrmClient> client, const Settings& settings,
                const PlatformContext& context)
      : m_client(std::move(client)), m_settings(settings), m_context(context) {}

  /// Leaves nothing behind when it throws.
  SnapshotDocument make(const Machine& machine, const SnapshotOptions& options);
  /// Over a session and with a token of its own: the run's may be the reason why we are here. Never
  /// throws a hamal::Error.
  void undo(const Machine& machine, const std::string& id) noexcept;

 private:
  struct LeftOut {
    Disk disk;
    std::string reason;
  };
  struct Chosen {
    std::vector<Disk> disks;
    std::vector<LeftOut> left_out;
  };
  Chosen choose(const Machine& machine, const SnapshotOptions& options) const;
  void check_room(const Machine& machine, Snapshots& snapshots) const;
  Consistent create(Snapshots& snapshots, const Machine& machine, const std::string& id,
                    const Chosen& chosen, Quiesce quiesce);
  SnapshotDocument describe(const Machine& before, const std::string& id, const Chosen& chosen,
                            Snapshots& snapshots);

  std::shared_ptr<VrmClient> m_client;
  const Settings& m_settings;
  const PlatformContext& m_context;
};

}  // namespace hamal::fusioncompute
