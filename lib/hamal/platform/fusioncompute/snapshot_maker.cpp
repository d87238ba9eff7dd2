#include "hamal/platform/fusioncompute/snapshot_maker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hamal/block/endpoint.hpp"
#include "hamal/platform/fusioncompute/inventory.hpp"
#include "hamal/util/error.hpp"
#include "hamal/util/time.hpp"

namespace hamal::fusioncompute {
namespace {

constexpr std::chrono::minutes k_undo{2};

bool is_known_refusal(const VrmError& error) {
  return error.is_conflict() || error.is(VrmCode::snapshot_limit) ||
         error.is(VrmCode::tools_not_running) || error.is(VrmCode::not_logged_in);
}

}  // namespace

std::string change_id_of(const Machine& machine, const Disk& disk, const Snapshot& snapshot,
                         const VolumeSnapshot& volume) {
  if (volume.change_number == 0 || volume.uuid.empty() || volume.tracking_begun.empty()) {
    return {};
  }
  return to_string(ChangeId{.volume_urn = volume.volume_urn,
                            .snapshot_urn = snapshot.urn,
                            .snap_uuid = volume.uuid,
                            .tracking_begun = volume.tracking_begun,
                            .change_number = volume.change_number,
                            .size = disk.size,
                            .host_urn = machine.host_urn,
                            .datastore_urn = volume.datastore_urn});
}

const VolumeSnapshot* find_volume(const SnapshotDetail& detail, const std::string& volume_urn) {
  const auto found =
      std::find_if(detail.volumes.begin(), detail.volumes.end(),
                   [&](const VolumeSnapshot& one) { return one.volume_urn == volume_urn; });
  return found == detail.volumes.end() ? nullptr : &*found;
}

SnapshotMaker::Chosen SnapshotMaker::choose(const Machine& machine,
                                            const SnapshotOptions& options) const {
  const auto is_named = [&](const Disk& disk) {
    const auto place = std::to_string(&disk - machine.disks.data());
    return std::any_of(options.disks.begin(), options.disks.end(),
                       [&](const std::string& id) { return id == disk.id() || id == place; });
  };
  for (const std::string& id : options.disks) {
    const bool there =
        std::any_of(machine.disks.begin(), machine.disks.end(), [&](const Disk& one) {
          return id == one.id() || id == std::to_string(&one - machine.disks.data());
        });
    if (!there) {
      throw Error(ErrorKind::usage, "no such disk", machine.name + "/" + id,
                  "hamal-snapshot vms " + m_settings.platform + " lists them");
    }
  }
  if (const std::string why = why_unprotectable(machine); !why.empty()) {
    throw Error(ErrorKind::failed, "the vm cannot be protected: " + why, machine.name,
                "hamal-fusioncompute(7), LIMITS");
  }
  Chosen chosen;
  for (const Disk& disk : machine.disks) {
    const std::string why = why_unprotectable(machine, disk);
    if (!why.empty() && is_named(disk)) {
      throw Error(ErrorKind::usage, "the disk cannot be protected: " + why,
                  machine.name + "/" + disk.id(), "leave it out");
    }
    if (!why.empty()) {
      m_context.log.warning("{}/{} is left out: {}", machine.name, disk.id(), why);
      chosen.left_out.push_back({disk, why});
    } else if (options.disks.empty() || is_named(disk)) {
      chosen.disks.push_back(disk);
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

void SnapshotMaker::check_room(const Machine& machine, Snapshots& snapshots) const {
  const std::size_t count = snapshots.list().size();
  if (count >= m_settings.max_snapshots) {
    throw Error(ErrorKind::failed,
                fmt::format("the vm has {} snapshots already, and max_snapshots is {}", count,
                            m_settings.max_snapshots),
                machine.name, "remove those that nobody needs: FusionCompute allows 32 (10300111)");
  }
}

Consistent SnapshotMaker::create(Snapshots& snapshots, const Machine& machine,
                                 const std::string& id, const Chosen& chosen, Quiesce quiesce) {
  const std::string description = description_of(id, chosen.disks);
  if (quiesce != Quiesce::no) {
    try {
      snapshots.create(id, description, Consistent::yes);
      return Consistent::yes;
    } catch (const VrmError& error) {
      if (quiesce == Quiesce::require || is_known_refusal(error)) {
        throw;
      }
      m_context.log.warning("{}: not quiesced, so crash-consistent: {}", machine.name,
                            error.what());
    }
    snapshots.remove(id);
  }
  snapshots.create(id, description, Consistent::no);
  return Consistent::no;
}

SnapshotDocument SnapshotMaker::describe(const Machine& before, const std::string& id,
                                         const Chosen& chosen, Snapshots& snapshots) {
  const Machine machine = look(*m_client, before);
  const std::vector<Snapshot> all = snapshots.list();
  const Snapshot* const snapshot = find_snapshot(all, id);
  if (snapshot == nullptr) {
    throw Error(ErrorKind::failed, "the snapshot is gone as soon as it was made", machine.name,
                "somebody removes snapshots: see the vm's tasks", Transience::transient);
  }
  snapshots.remove_outrun(all, *snapshot);
  const SnapshotDetail detail = snapshots.detail(*snapshot);
  SnapshotDocument document;
  document.platform = m_settings.platform;
  document.platform_type = "fusion_compute";
  document.vm_id = machine.id();
  document.vm_name = machine.name;
  document.snapshot_id = id;
  document.created = rfc3339(system_clock().wall());
  nlohmann::json hardware{{"uri", machine.uri}, {"status", machine.status}};
  for (const Disk& disk : chosen.disks) {
    const auto now = std::find_if(machine.disks.begin(), machine.disks.end(), [&](const Disk& one) {
      return one.sequence == disk.sequence && one.volume_urn == disk.volume_urn;
    });
    const VolumeSnapshot* const volume = find_volume(detail, disk.volume_urn);
    // The snapshot does not say how large the disk was: it was that before and after.
    if (now == machine.disks.end() || now->size != disk.size || volume == nullptr) {
      throw Error(ErrorKind::failed,
                  volume == nullptr ? "the snapshot does not hold this disk"
                                    : "the disk was changed while the snapshot was made",
                  machine.name + "/" + disk.id(), "run it again", Transience::transient);
    }
    const std::string change_id = change_id_of(machine, disk, *snapshot, *volume);
    const auto place = static_cast<std::uint64_t>(now - machine.disks.begin());
    document.disks.push_back(
        {.id = disk.id(),
         .label = disk.name,
         .size = disk.size,
         .change_id = change_id,
         .source = platform_uri(m_settings.platform, machine.id(), disk.id(), id),
         .tracked = !change_id.empty(),
         .untracked_reason = change_id.empty() ? "its snapshot has no chgID" : "",
         .index = place == document.disks.size() ? std::nullopt : std::optional(place)});
    hardware["disks"].push_back({{"id", disk.id()},
                                 {"label", disk.name},
                                 {"bus", disk.bus},
                                 {"volume", disk.volume_urn},
                                 {"datastore", volume->datastore_urn}});
  }
  for (const LeftOut& one : chosen.left_out) {
    hardware["left_out"].push_back(
        {{"id", one.disk.id()}, {"label", one.disk.name}, {"reason", one.reason}});
  }
  document.hardware = hardware.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return document;
}

SnapshotDocument SnapshotMaker::make(const Machine& machine, const SnapshotOptions& options) {
  const Chosen chosen = choose(machine, options);
  Snapshots snapshots(*m_client, m_settings, m_context.log, machine);
  check_room(machine, snapshots);
  const std::string id = new_snapshot_id(m_context.mark);
  try {
    const Consistent consistent = create(snapshots, machine, id, chosen, options.quiesce);
    SnapshotDocument document = describe(machine, id, chosen, snapshots);
    document.quiesced = consistent == Consistent::yes;
    return document;
  } catch (...) {
    undo(machine, id);
    throw;
  }
}

void SnapshotMaker::undo(const Machine& machine, const std::string& id) noexcept {
  try {
    const CancelToken uninterrupted;
    VrmClient client(m_settings.endpoint, uninterrupted);
    // Somebody may be waiting for our end; the next run finds what is left.
    Settings impatient = m_settings;
    impatient.delete_timeout =
        std::min<std::chrono::milliseconds>(impatient.delete_timeout, k_undo);
    Snapshots(client, impatient, m_context.log, machine).remove(id);
  } catch (const std::exception& error) {
    m_context.log.warning("{}: cannot remove {} after a failed create: {}", machine.name, id,
                          error.what());
  }
}

}  // namespace hamal::fusioncompute
