// Makes the snapshot of a run: which disks, with change tracking, quiesced or not.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "hamal/platform/platform.hpp"
#include "hamal/platform/vmware/change_id.hpp"
#include "hamal/platform/vmware/hardware.hpp"
#include "hamal/platform/vmware/settings.hpp"
#include "hamal/platform/vmware/snapshots.hpp"

namespace hamal::vmware {

/// Those of a snapshot's configuration.
std::vector<Disk> snapshot_disks(VimClient& client, const ManagedObject& snapshot);

class SnapshotMaker {
 public:
  SnapshotMaker(std::shared_ptr<VimClient> client, const Settings& settings,
                const PlatformContext& context);

  /// Leaves nothing behind when it throws.
  SnapshotDocument make(Machine machine, const SnapshotOptions& options);
  /// Over a session and with a token of its own: the run's may be the reason why we are here. Never
  /// throws a hamal::Error.
  void undo(const Machine& machine, const std::string& id) noexcept;

 private:
  struct Chosen {
    std::vector<Disk> disks;
    std::vector<LeftOut> left_out;
  };
  Chosen choose(const Machine& machine, const SnapshotOptions& options) const;
  void check_room(const Machine& machine) const;
  void check_space(const Machine& machine, const Chosen& chosen);
  Machine enable_tracking(const Machine& machine);
  Machine switch_on(const Machine& machine);
  Quiesced create(const Machine& machine, const std::string& id, Quiesce quiesce);
  /// What was made, as the server has it.
  struct Made {
    Machine machine;
    Snapshot snapshot;
    std::vector<Disk> disks;
  };
  Made made(const Machine& machine, const std::string& id, const Chosen& chosen);
  SnapshotDocument describe(const Machine& machine, const std::string& id, const Chosen& chosen,
                            const Made& made, const EventMark& before);

  std::shared_ptr<VimClient> m_client;
  const Settings& m_settings;
  const PlatformContext& m_context;
  Snapshots m_snapshots;
};

}  // namespace hamal::vmware
