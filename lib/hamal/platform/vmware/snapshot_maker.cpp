// The order matters (hamal-vmware(7), CHANGE TRACKING): tracking that is enabled in a running vm
// works from its next stun on, which a snapshot is. One whose disks have no change ids is thrown
// away and made again; after that the run is a full.
#include "hamal/platform/vmware/snapshot_maker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "hamal/block/endpoint.hpp"
#include "hamal/platform/vmware/datastores.hpp"
#include "hamal/platform/vmware/events.hpp"
#include "hamal/platform/vmware/task.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/time.hpp"

namespace hamal::vmware {
namespace {

constexpr std::chrono::minutes k_undo{2};

bool could_not_quiesce(const VimFault& fault) {
  constexpr std::array<std::string_view, 5> k_faults{
      "ApplicationQuiesceFault", "FilesystemQuiesceFault", "SnapshotFault", "ToolsUnavailable",
      "QuiesceDatastoreIOForHAFailed"};
  return std::find(k_faults.begin(), k_faults.end(), fault.fault()) != k_faults.end();
}

const Disk* find_disk(const std::vector<Disk>& disks, std::int32_t key) {
  const auto found =
      std::find_if(disks.begin(), disks.end(), [key](const Disk& one) { return one.key == key; });
  return found == disks.end() ? nullptr : &*found;
}

std::size_t place_of(const Machine& machine, std::int32_t key) {
  const auto found = std::find_if(machine.disks.begin(), machine.disks.end(),
                                  [key](const Disk& one) { return one.key == key; });
  return static_cast<std::size_t>(found - machine.disks.begin());
}

}  // namespace

std::vector<Disk> snapshot_disks(VimClient& client, const ManagedObject& snapshot) {
  const ObjectProperties properties = retrieve(client, snapshot, {"config.hardware.device"});
  const XmlElement* const devices = properties.find("config.hardware.device");
  return devices == nullptr ? std::vector<Disk>() : disks_of(*devices);
}

SnapshotMaker::SnapshotMaker(std::shared_ptr<VimClient> client, const Settings& settings,
                             const PlatformContext& context)
    : m_client(std::move(client)),
      m_settings(settings),
      m_context(context),
      m_snapshots(*m_client, settings, context.log) {}

SnapshotMaker::Chosen SnapshotMaker::choose(const Machine& machine,
                                            const SnapshotOptions& options) const {
  if (!machine.readable) {
    throw Error(ErrorKind::failed, "the vm's configuration cannot be read", machine.name,
                "the user needs System.Read on it, and its host must be connected",
                Transience::transient);
  }
  Chosen chosen;
  for (std::size_t place = 0; place < machine.disks.size(); ++place) {
    const Disk& disk = machine.disks[place];
    const std::string why = why_unprotectable(machine, disk);
    const bool named = std::any_of(
        options.disks.begin(), options.disks.end(),
        [&](const std::string& id) { return id == disk.id() || id == std::to_string(place); });
    if (named && !why.empty()) {
      throw Error(ErrorKind::usage, "the disk cannot be protected: " + why,
                  machine.name + "/" + disk.id(), "leave it out");
    }
    if (!why.empty()) {
      m_context.log.warning("{}/{} is left out: {}", machine.name, disk.id(), why);
      chosen.left_out.push_back({disk, why});
    } else if (named || options.disks.empty()) {
      chosen.disks.push_back(disk);
    }
  }
  for (const std::string& id : options.disks) {
    const bool there =
        std::any_of(machine.disks.begin(), machine.disks.end(), [&](const Disk& one) {
          return one.id() == id || std::to_string(place_of(machine, one.key)) == id;
        });
    if (!there) {
      throw Error(ErrorKind::usage, "no such disk", machine.name + "/" + id,
                  "hamal-snapshot vms " + m_settings.platform + " lists them");
    }
  }
  if (chosen.disks.empty()) {
    throw Error(ErrorKind::failed,
                chosen.left_out.empty()
                    ? "the vm has no disks"
                    : "none of the vm's disks can be protected: " + chosen.left_out.front().reason,
                machine.name, "hamal-snapshot vms " + m_settings.platform + " says why not");
  }
  return chosen;
}

void SnapshotMaker::check_room(const Machine& machine) const {
  if (machine.snapshots.size() >= m_settings.max_snapshots) {
    throw Error(ErrorKind::failed,
                fmt::format("the vm has {} snapshots already, and max_snapshots is {}",
                            machine.snapshots.size(), m_settings.max_snapshots),
                machine.name,
                "remove those that nobody needs: each one makes the vm slower, and vSphere allows "
                "32");
  }
}

void SnapshotMaker::check_space(const Machine& machine, const Chosen& chosen) {
  const std::string why =
      why_low(*m_client, chosen.disks, m_settings.datastore_min_free, m_context.log);
  if (!why.empty()) {
    throw Error(
        ErrorKind::failed, "no snapshot is made: " + why, machine.name,
        "make room on it, or lower datastore_min_free: a snapshot grows with what the guest "
        "writes",
        Transience::transient);
  }
}

Machine SnapshotMaker::enable_tracking(const Machine& machine) {
  if (machine.tracking || m_settings.enable_tracking == EnableTracking::no ||
      !machine.tracking_supported) {
    return machine;
  }
  if (!machine.snapshots.empty()) {
    m_context.log.warning("{}: change tracking is not enabled while the vm has snapshots",
                          machine.name);
    return machine;
  }
  Machine now = switch_on(machine);
  if (!now.snapshots.empty()) {
    m_context.log.warning("{}: a snapshot was made while change tracking was enabled",
                          machine.name);
  }
  if (now.tracking) {
    m_context.log.info("{}: change tracking was enabled", machine.name);
  } else {
    m_context.log.warning("{}: change tracking was enabled and still is off", machine.name);
  }
  return now;
}

Machine SnapshotMaker::switch_on(const Machine& machine) {
  constexpr int k_tries = 5;
  for (int tries = 1;; ++tries) {
    // Another process may have done it, or made a snapshot, since the vm was looked at; and may do
    // so until the server refuses this request, which is for one version of the configuration.
    Machine now = m_snapshots.look(machine);
    if (now.tracking || !now.snapshots.empty()) {
      return now;
    }
    VimRequest request("ReconfigVM_Task", machine.object);
    request.begin("spec");
    if (!now.change_version.empty()) {
      request.text("changeVersion", now.change_version);
    }
    request.flag("changeTrackingEnabled", true).end();
    try {
      run_task(*m_client, request, Repeat::yes, "enabling change tracking of " + machine.name,
               m_settings.task_timeout);
      return m_snapshots.look(machine);
    } catch (const VimFault& fault) {
      if (fault.fault() != "ConcurrentAccess" || tries == k_tries) {
        throw;
      }
      m_context.log.debug("{}: its configuration was changed meanwhile", machine.name);
    }
  }
}

Quiesced SnapshotMaker::create(const Machine& machine, const std::string& id, Quiesce quiesce) {
  // A vm that is off has nothing to settle.
  if (quiesce != Quiesce::no && machine.power == "poweredOn") {
    try {
      m_snapshots.create(machine, id, Quiesced::yes);
      return Quiesced::yes;
    } catch (const VimFault& fault) {
      if (quiesce == Quiesce::require || !could_not_quiesce(fault)) {
        throw;
      }
      m_context.log.warning("{}: not quiesced, so crash-consistent: {}", machine.name,
                            fault.what());
    }
    m_snapshots.remove(machine, id);
  }
  m_snapshots.create(machine, id, Quiesced::no);
  return Quiesced::no;
}

SnapshotMaker::Made SnapshotMaker::made(const Machine& machine, const std::string& id,
                                        const Chosen& chosen) {
  Made result{.machine = m_snapshots.look(machine), .snapshot = {}, .disks = {}};
  const Snapshot* const snapshot = find_snapshot(result.machine, id);
  if (snapshot == nullptr) {
    throw Error(ErrorKind::failed, "the snapshot is gone as soon as it was made", machine.name,
                "somebody removes snapshots: see the vm's tasks", Transience::transient);
  }
  result.snapshot = *snapshot;
  const std::vector<Disk> all = snapshot_disks(*m_client, snapshot->object);
  for (const Disk& wanted : chosen.disks) {
    const Disk* const found = find_disk(all, wanted.key);
    if (found == nullptr) {
      throw Error(ErrorKind::failed, "the snapshot does not hold this disk",
                  machine.name + "/" + wanted.id(), "the vm was changed meanwhile: run it again",
                  Transience::transient);
    }
    result.disks.push_back(*found);
  }
  return result;
}

SnapshotDocument SnapshotMaker::describe(const Machine& machine, const std::string& id,
                                         const Chosen& chosen, const Made& made,
                                         const EventMark& before) {
  SnapshotDocument document;
  document.platform = m_settings.platform;
  document.platform_type = "vmware";
  document.vm_id = machine.id;
  document.vm_name = machine.name;
  document.snapshot_id = id;
  document.created = rfc3339(system_clock().wall());
  for (const Disk& disk : made.disks) {
    const std::string change_id =
        to_string(change_id_of(made.machine, made.snapshot, disk, before));
    const std::string untracked = why_untracked(machine, disk);
    const std::uint64_t place = place_of(machine, disk.key);
    document.disks.push_back(
        {.id = disk.id(),
         .label = disk.label,
         .size = disk.size,
         .change_id = change_id,
         .source = platform_uri(m_settings.platform, machine.id, disk.id(), id),
         .tracked = !change_id.empty(),
         .untracked_reason = !change_id.empty()  ? ""
                             : untracked.empty() ? "its snapshot has no change id"
                                                 : untracked,
         .index = place == document.disks.size() ? std::nullopt : std::optional(place)});
  }
  document.hardware = hardware_of(*m_client, machine, made.disks, chosen.left_out);
  return document;
}

SnapshotDocument SnapshotMaker::make(Machine machine, const SnapshotOptions& options) {
  const Chosen chosen = choose(machine, options);
  check_room(machine);
  check_space(machine, chosen);
  if (machine.consolidation_needed) {
    m_snapshots.consolidate(machine);
  }
  machine = enable_tracking(machine);
  const std::string id = new_snapshot_id(m_context.mark);
  // Before it is asked for: a revert that comes between both is told of twice and not missed.
  const EventMark before = newest_event(*m_client, machine, m_context.log);
  try {
    Quiesced quiesced = create(machine, id, options.quiesce);
    Made frozen = made(machine, id, chosen);
    const auto& disks = frozen.disks;
    const bool missing = std::any_of(disks.begin(), disks.end(), [&](const Disk& disk) {
      return disk.change_id.empty() && why_untracked(machine, disk).empty();
    });
    if (missing && machine.snapshots.empty()) {
      m_context.log.info("{}: the snapshot has no change ids: making another one", machine.name);
      m_snapshots.remove(machine, id);
      quiesced = create(machine, id, options.quiesce);
      frozen = made(machine, id, chosen);
    }
    SnapshotDocument document = describe(machine, id, chosen, frozen, before);
    document.quiesced = quiesced == Quiesced::yes;
    return document;
  } catch (...) {
    undo(machine, id);
    throw;
  }
}

void SnapshotMaker::undo(const Machine& machine, const std::string& id) noexcept {
  try {
    const CancelToken uninterrupted;
    // The run's own session may hold the last of those there are.
    VimEndpoint endpoint = m_settings.endpoint;
    endpoint.sessions = {};
    VimClient client(endpoint, uninterrupted);
    // Somebody may be waiting for our end; the next run finds what is left.
    Settings impatient = m_settings;
    impatient.task_timeout = std::min<std::chrono::milliseconds>(impatient.task_timeout, k_undo);
    Snapshots(client, impatient, m_context.log).remove(machine, id);
  } catch (const std::exception& error) {
    m_context.log.warning("{}: cannot remove {} after a failed create: {}", machine.name, id,
                          error.what());
  }
}

}  // namespace hamal::vmware
