#include "hamal/sync/read_changes.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <numeric>

#include "hamal/extent/validate.hpp"
#include "hamal/sync/resume.hpp"
#include "hamal/target/target.hpp"
#include "hamal/util/error.hpp"

namespace hamal {
namespace {

std::string names_of(const SnapshotDocument& document) {
  std::string names;
  for (const SnapshotDisk& disk : document.disks) {
    names += (names.empty() ? "" : ", ") + disk.id;
  }
  return names;
}

bool has_disk(const SnapshotDocument& document, const std::string& id) {
  return std::any_of(document.disks.begin(), document.disks.end(),
                     [&](const SnapshotDisk& disk) { return disk.id == id; });
}

void check_belongs(const Checkpoint& checkpoint, const SnapshotDocument& document) {
  const DiskIdentity& identity = checkpoint.identity;
  const bool fits = identity.platform == document.platform && identity.vm_id == document.vm_id &&
                    has_disk(document, identity.disk_id);
  if (!fits) {
    throw Error(ErrorKind::usage,
                fmt::format("the checkpoint is of {}:{}/{}, the snapshot of {}:{} with disks {}",
                            identity.platform, identity.vm_id, identity.disk_id, document.platform,
                            document.vm_id, names_of(document)),
                "--checkpoint",
                "print the right one with `hamal-sync checkpoint show --json` where the target is");
  }
}

}  // namespace

Base base_of_checkpoint(const SnapshotDisk& disk, const std::optional<Checkpoint>& checkpoint,
                        const std::optional<InProgress>& interrupted, Interrupted how) {
  // Before all else: an interrupted run cannot be gone on with either on a target given away.
  if (checkpoint && !checkpoint->released.empty()) {
    return {{}, "the target was released on " + checkpoint->released};
  }
  const std::string mended =
      interrupted ? "an earlier run was interrupted (started " + interrupted->started + ")" : "";
  if (interrupted &&
      (how == Interrupted::not_mended || !checkpoint || interrupted->mode == SyncMode::full ||
       interrupted->base_change_id != checkpoint->change_id)) {
    return {{}, mended};
  }
  if (!checkpoint) {
    return {{}, "no checkpoint on this target"};
  }
  if (checkpoint->size != disk.size) {
    return {{}, fmt::format("size changed from {} to {}", checkpoint->size, disk.size)};
  }
  if (checkpoint->change_id.empty()) {
    return {{}, "the last run's snapshot was not tracked"};
  }
  return {checkpoint->change_id,
          fmt::format("checkpoint of generation {}, committed {}{}{}", checkpoint->generation,
                      checkpoint->committed, mended.empty() ? "" : "; ", mended)};
}

Base base_on_target(State& state, const SnapshotDocument& document, const SnapshotDisk& disk,
                    const Endpoint& target, Interrupted how) {
  const DiskIdentity identity{document.platform, document.vm_id, disk.id, canonical_target(target)};
  const auto checkpoint = state.find_checkpoint(identity);
  if (checkpoint && target.kind == EndpointKind::file && !std::filesystem::exists(target.path)) {
    return {{}, "the target is gone"};
  }
  const auto mark = state.find_in_progress(identity);
  const bool mendable = mark && how == Interrupted::mended && recorded_plan(*mark);
  return base_of_checkpoint(disk, checkpoint, mark,
                            mendable ? Interrupted::mended : Interrupted::not_mended);
}

BaseChooser base_of_target(State& state, const std::string& target_pattern, Interrupted how,
                           const EndpointParser& parse) {
  return [&state, target_pattern, how, parse](const SnapshotDocument& document,
                                              const SnapshotDisk& disk, std::size_t index) {
    return base_on_target(state, document, disk,
                          parse(expand_target_pattern(target_pattern, document.vm_name,
                                                      document.vm_id, disk.id, index)),
                          how);
  };
}

BaseChooser base_of_checkpoints(std::vector<Checkpoint> checkpoints) {
  return [checkpoints = std::move(checkpoints)](const SnapshotDocument& document,
                                                const SnapshotDisk& disk, std::size_t) -> Base {
    std::optional<Checkpoint> found;
    for (const Checkpoint& checkpoint : checkpoints) {
      check_belongs(checkpoint, document);
      if (checkpoint.identity.disk_id == disk.id) {
        if (found) {
          throw Error(ErrorKind::usage, "two checkpoints are of disk " + disk.id, "--checkpoint",
                      "name the one of the target that is to be brought up to date");
        }
        found = checkpoint;
      }
    }
    if (!found) {
      return {{}, "no checkpoint was given for this disk"};
    }
    return base_of_checkpoint(disk, found, std::nullopt, Interrupted::not_mended);
  };
}

BaseChooser base_of_change_ids(const std::vector<std::string>& since) {
  return [since](const SnapshotDocument& document, const SnapshotDisk& disk, std::size_t) -> Base {
    std::optional<std::string> of_all;
    for (const std::string& item : since) {
      const std::size_t equals = item.find('=');
      // A change id may hold "=" itself: only a disk of this vm before it makes it a pair.
      const bool pair = equals != std::string::npos && has_disk(document, item.substr(0, equals));
      if (!pair) {
        of_all = item;
      } else if (item.substr(0, equals) == disk.id) {
        return {item.substr(equals + 1), "the change id was given"};
      }
    }
    if (!of_all) {
      return {{}, "no change id was given for this disk"};
    }
    return {*of_all, "the change id was given"};
  };
}

BaseChooser full_base(std::string reason) {
  return [reason = std::move(reason)](const SnapshotDocument&, const SnapshotDisk&, std::size_t) {
    return Base{{}, reason};
  };
}

std::vector<DiskChanges> read_changes(Platform& platform, const SnapshotDocument& document,
                                      const std::vector<std::size_t>& disks,
                                      const BaseChooser& choose) {
  std::vector<std::size_t> places = disks;
  if (places.empty()) {
    places.resize(document.disks.size());
    std::iota(places.begin(), places.end(), std::size_t{0});
  }
  // All decisions first: a wrong option must not cost the platform anything.
  std::vector<Base> bases;
  for (const std::size_t place : places) {
    bases.push_back(choose(document, document.disks.at(place), document.index_of(place)));
  }
  std::vector<DiskChanges> result;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const SnapshotDisk& disk = document.disks[places[i]];
    const Base& base = bases[i];
    Changes changes = platform.changed_extents(document, disk, base.change_id);
    DiskChanges one;
    one.header.id = disk.id;
    one.header.index = document.index_of(places[i]);
    one.header.label = disk.label;
    one.header.size = disk.size;
    one.header.mode = changes.mode;
    one.header.change_id = disk.change_id;
    one.header.source = disk.source;
    one.header.read_by = changes.read_by;
    one.header.read_by_reason = changes.read_by_reason;
    if (changes.mode == SyncMode::incremental) {
      if (base.change_id.empty()) {
        throw Error(ErrorKind::failed, "the platform answered a full with an incremental",
                    document.platform + ":" + document.vm_id + "/" + disk.id);
      }
      one.header.base_change_id = base.change_id;
      one.header.reason = base.reason;
    } else {
      // Why no base was tried says more than that none was given.
      one.header.reason = base.change_id.empty() ? base.reason : changes.reason;
    }
    one.extents = validate(
        std::move(changes.extents), disk.size,
        fmt::format("the changes of {}:{}/{}", document.platform, document.vm_id, disk.id));
    result.push_back(std::move(one));
  }
  return result;
}

StreamHeader stream_header(const SnapshotDocument& document,
                           const std::vector<DiskChanges>& changes) {
  StreamHeader header;
  header.platform = document.platform;
  header.platform_type = document.platform_type;
  header.vm_id = document.vm_id;
  header.vm_name = document.vm_name;
  header.snapshot_id = document.snapshot_id;
  header.created = document.created;
  for (const DiskChanges& disk : changes) {
    header.disks.push_back(disk.header);
  }
  return header;
}

std::vector<std::size_t> find_disks(const SnapshotDocument& document,
                                    const std::vector<std::string>& ids) {
  std::vector<std::size_t> places;
  for (const std::string& id : ids) {
    const SnapshotDisk& disk = document.disk(id);
    const auto place = static_cast<std::size_t>(&disk - document.disks.data());
    if (std::find(places.begin(), places.end(), place) == places.end()) {
      places.push_back(place);
    }
  }
  std::sort(places.begin(), places.end());
  return places;
}

}  // namespace hamal
