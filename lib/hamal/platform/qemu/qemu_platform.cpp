// Composes the pieces of platform/qemu: one short QMP conversation per call.
#include "hamal/platform/qemu/qemu_platform.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "hamal/block/nbd_reader.hpp"
#include "hamal/extent/sources.hpp"
#include "hamal/platform/qemu/freeze.hpp"
#include "hamal/platform/qemu/frozen_reader.hpp"
#include "hamal/platform/qemu/hardware.hpp"
#include "hamal/platform/qemu/machine_view.hpp"
#include "hamal/platform/qemu/nbd_export.hpp"
#include "hamal/platform/qemu/nodes.hpp"
#include "hamal/platform/qemu/platform_data.hpp"
#include "hamal/platform/qemu/settings.hpp"
#include "hamal/util/random_id.hpp"

namespace hamal {
namespace {

using namespace qemu;

constexpr const char* k_null_uuid = "00000000-0000-0000-0000-000000000000";

/// What settling the extents of a frozen disk needs to know of it.
struct FrozenDisk {
  FrozenPlace place;
  std::string bitmap;  ///< the snapshot's own, still recording; empty: there is none
  std::uint64_t granularity = 0;
};

FrozenDisk frozen_disk(const BlockGraph& graph, const QemuDisk& disk,
                       const SnapshotName& snapshot) {
  FrozenDisk result{{snapshot, frozen_node(graph, disk, snapshot), disk.format}, {}, 0};
  for (const BitmapState& bitmap : graph.at(disk.format).bitmaps) {
    if (const auto name = parse_bitmap_name(bitmap.name);
        name && name->snapshot == snapshot && bitmap.recording && !bitmap.inconsistent) {
      result.bitmap = bitmap.name;
      result.granularity = bitmap.granularity;
    }
  }
  return result;
}

/// From the URI of its export alone: a document rebuilt from a stream says no more.
FrozenDisk find_by_source(const ReadContext& context, const std::string& source) {
  QmpClient qmp(context.qmp, &context.cancel);
  const View view = look(qmp);
  for (const QemuDisk& disk : view.disks) {
    const auto owned = parse_owned_name(disk.cbw);
    if (owned && source == export_uri(context.nbd_socket, frozen_export_of(disk.cbw))) {
      return frozen_disk(view.graph, disk, owned->snapshot);
    }
  }
  throw Error(ErrorKind::failed, "the snapshot is not held any more", source,
              "QEMU was restarted or the snapshot was ended: make a new one",
              Transience::transient);
}

class QemuPlatform final : public Platform {
 public:
  QemuPlatform(QemuSettings settings, const PlatformContext& context)
      : m_settings(std::move(settings)), m_context(context) {
    if (!is_mark(m_context.mark)) {
      throw std::logic_error("the mark of an installation is 8 hexadecimal digits");
    }
  }

  std::vector<Vm> vms() override;
  SnapshotDocument create_snapshot(const std::string& vm, const SnapshotOptions& options) override;
  std::vector<SnapshotInfo> list_snapshots(const std::string& vm) override;
  void finish_snapshot(const SnapshotDocument& document, Outcome outcome,
                       const std::vector<std::string>& still_needed) override;
  void delete_snapshot(const std::string& vm, const std::string& snapshot_id) override;
  Changes changed_extents(const SnapshotDocument& document, const SnapshotDisk& disk,
                          const std::string& base) override;
  std::unique_ptr<BlockReader> open_reader(const SnapshotDisk& disk) override;
  void verify_snapshot(const std::string& vm_id, const std::string& snapshot_id,
                       const SnapshotDisk& disk) override;

 private:
  QmpClient connect() const { return QmpClient(m_settings.qmp, &m_context.cancel); }
  /// For what must be undone even when the run was cancelled.
  QmpClient connect_for_cleanup() const { return QmpClient(m_settings.qmp); }
  View now() const {
    QmpClient qmp = connect();
    return look(qmp);
  }
  std::string vm_id(QmpClient& qmp) const;
  void check_vm(QmpClient& qmp, const std::string& vm) const;
  SnapshotName own_snapshot(const std::string& snapshot_id) const;
  void check_free(const View& view) const;
  void check_create(const std::string& vm, const SnapshotOptions& options) const;
  void undo(const SnapshotName& snapshot, const std::vector<BitmapHandover>& handovers) noexcept;
  SnapshotDocument describe_snapshot(const FreezeRequest& request, const std::string& id,
                                     const std::string& created,
                                     const std::vector<BitmapHandover>& handovers) const;
  /// The document's disk, held in this snapshot.
  const QemuDisk& held_disk(const View& view, const SnapshotName& snapshot,
                            const std::string& disk) const;
  Changes full(const SnapshotDisk& disk, const std::string& reason);
  ReadContext read_context() const;

  QemuSettings m_settings;
  PlatformContext m_context;
};

std::string QemuPlatform::vm_id(QmpClient& qmp) const {
  if (!m_settings.vm_id.empty()) {
    return m_settings.vm_id;
  }
  // qemu-storage-daemon has none, and a QEMU that was given none says zeros.
  if (const auto reply = qmp.execute_if_known("query-uuid")) {
    std::string uuid = json_string(*reply, "UUID", qmp.monitor());
    if (uuid != k_null_uuid) {
      return uuid;
    }
  }
  return m_settings.vm_name;
}

void QemuPlatform::check_vm(QmpClient& qmp, const std::string& vm) const {
  const std::string id = vm_id(qmp);
  if (vm != id && vm != m_settings.vm_name) {
    throw Error(ErrorKind::usage, "this platform has no such machine", vm,
                m_settings.vm_name == id ? "it has " + id
                                         : fmt::format("it has {}, id {}", m_settings.vm_name, id));
  }
}

std::vector<Vm> QemuPlatform::vms() {
  QmpClient qmp = connect();
  Vm vm;
  vm.id = vm_id(qmp);
  vm.name = m_settings.vm_name;
  vm.power = "unknown";
  if (const auto status = qmp.execute_if_known("query-status")) {
    vm.power = json_string(*status, "status", qmp.monitor()) == "shutdown" ? "stopped" : "running";
  }
  for (const QemuDisk& disk : look(qmp).disks) {
    vm.disks.push_back({disk.id, disk.label, disk.size, disk.protectable, disk.reason});
  }
  return {vm};
}

SnapshotName QemuPlatform::own_snapshot(const std::string& snapshot_id) const {
  const auto name = parse_snapshot_name(snapshot_id);
  if (!name) {
    throw Error(ErrorKind::usage, "not the id of a snapshot on a qemu platform", snapshot_id,
                "`hamal-snapshot list` shows them");
  }
  if (name->mark != m_context.mark) {
    throw Error(ErrorKind::usage,
                "the snapshot does not carry this installation's mark " + m_context.mark,
                snapshot_id, "only the installation that made it may end it");
  }
  return *name;
}

void QemuPlatform::check_create(const std::string& vm, const SnapshotOptions& options) const {
  if (options.quiesce == Quiesce::require) {
    throw Error(ErrorKind::failed,
                "the guest cannot be quiesced: the qemu platform talks to no guest agent", vm,
                "without --quiesce=require the snapshot is crash-consistent");
  }
  if (m_settings.scratch.directory.empty()) {
    throw Error(ErrorKind::usage, "scratch_dir is not set",
                "[platform " + m_settings.platform + "]",
                "name a directory that QEMU can write to, there or in [sync]");
  }
}

void QemuPlatform::check_free(const View& view) const {
  const std::vector<SnapshotName> held = held_snapshots(view.graph, view.exports);
  if (held.empty()) {
    return;
  }
  const std::string id = to_string(held.front());
  if (held.front().mark != m_context.mark) {
    throw Error(ErrorKind::busy, "another installation of hamal holds the snapshot " + id,
                m_settings.vm_name, "a machine belongs to one installation: end it there");
  }
  throw Error(ErrorKind::busy, "the snapshot " + id + " is held already", m_settings.vm_name,
              fmt::format("when no run uses it any more: hamal-snapshot delete {}:{}@{}",
                          m_settings.platform, m_settings.vm_name, id));
}

void QemuPlatform::undo(const SnapshotName& snapshot,
                        const std::vector<BitmapHandover>& handovers) noexcept {
  const auto attempt = [&](const char* what, const std::function<void()>& step) {
    try {
      step();
    } catch (const std::exception& error) {
      m_context.log.warning("{}: {} after a failed create: {}", to_string(snapshot), what,
                            error.what());
    }
  };
  attempt("cannot undo", [&] {
    QmpClient qmp = connect_for_cleanup();
    attempt("cannot release",
            [&] { release(qmp, snapshot, m_settings.scratch.directory, m_context.log); });
    for (const BitmapHandover& handover : handovers) {
      attempt("cannot restore the bitmaps", [&] { undo_handover(qmp, handover); });
    }
  });
}

SnapshotDocument QemuPlatform::describe_snapshot(
    const FreezeRequest& request, const std::string& id, const std::string& created,
    const std::vector<BitmapHandover>& handovers) const {
  SnapshotDocument document;
  document.platform = m_settings.platform;
  document.platform_type = "qemu";
  document.vm_id = id;
  document.vm_name = m_settings.vm_name;
  document.snapshot_id = to_string(request.snapshot);
  document.created = created;
  PlatformData data;
  for (std::size_t index = 0; index < request.disks.size(); ++index) {
    const QemuDisk& disk = request.disks[index];
    const BitmapHandover& handover = handovers[index];
    const std::string source = export_uri(
        request.nbd_socket, node_name(document.snapshot_id, NodeKind::frozen_export, index));
    document.disks.push_back({.id = disk.id,
                              .label = disk.label,
                              .size = disk.size,
                              .change_id = handover.added,
                              .source = source,
                              .tracked = !handover.added.empty(),
                              .untracked_reason = handover.failure});
    if (!handover.lost.empty()) {
      data.lost[disk.id] = handover.lost;
    }
  }
  document.platform_data = to_json(data);
  return document;
}

SnapshotDocument QemuPlatform::create_snapshot(const std::string& vm,
                                               const SnapshotOptions& options) {
  check_create(vm, options);
  std::vector<BitmapHandover> handovers;
  FreezeRequest request;
  {
    QmpClient qmp = connect();
    check_vm(qmp, vm);
    const View view = look(qmp);
    check_free(view);
    remove_leftover_scratch(m_settings.scratch, m_context.mark, m_context.log);
    check_scratch_space(m_settings.scratch, m_context.log);
    remove_unused_top_filters(qmp, view.graph, m_context.mark);
    request = {{m_context.mark, next_sequence(view.graph, m_context.mark), random_hex(4)},
               choose_disks(view.disks, options.disks, vm),
               m_settings.scratch,
               m_settings.nbd_socket};
  }
  try {
    QmpClient qmp = connect();
    const std::string created = freeze(qmp, request, handovers);
    SnapshotDocument document = describe_snapshot(request, vm_id(qmp), created, handovers);
    document.hardware = hardware_of(qmp);
    for (const SnapshotDisk& disk : document.disks) {
      // Also proves that nbd_socket is this QEMU's server.
      open_reader(disk);
      if (!disk.tracked) {
        m_context.log.warning("{}/{}: changes are not tracked: {}", m_settings.vm_name, disk.id,
                              disk.untracked_reason);
      }
    }
    return document;
  } catch (...) {
    undo(request.snapshot, handovers);
    throw;
  }
}

std::vector<SnapshotInfo> QemuPlatform::list_snapshots(const std::string& vm) {
  QmpClient qmp = connect();
  check_vm(qmp, vm);
  const std::string id = vm_id(qmp);
  const View view = look(qmp);
  std::map<std::string, SnapshotInfo> found;
  for (const auto& [name, node] : view.graph.nodes()) {
    for (const BitmapState& bitmap : node.bitmaps) {
      if (const auto parsed = parse_bitmap_name(bitmap.name)) {
        const std::string snapshot = to_string(parsed->snapshot);
        found[snapshot] = {snapshot, id, "", "base", parsed->snapshot.mark == m_context.mark};
      }
    }
  }
  for (const SnapshotName& name : held_snapshots(view.graph, view.exports)) {
    found[to_string(name)] = {to_string(name), id, "", "held", name.mark == m_context.mark};
  }
  std::vector<SnapshotInfo> result;
  result.reserve(found.size());
  for (auto& [name, info] : found) {
    result.push_back(std::move(info));
  }
  return result;
}

void QemuPlatform::finish_snapshot(const SnapshotDocument& document, Outcome outcome,
                                   const std::vector<std::string>& still_needed) {
  const SnapshotName snapshot = own_snapshot(document.snapshot_id);
  QmpClient qmp = connect_for_cleanup();
  check_vm(qmp, document.vm_id);
  release(qmp, snapshot, m_settings.scratch.directory, m_context.log);
  if (outcome == Outcome::failed) {
    return;
  }
  std::uint32_t oldest = snapshot.sequence;
  for (const std::string& change_id : still_needed) {
    if (const auto name = parse_bitmap_name(change_id);
        name && name->snapshot.mark == snapshot.mark) {
      oldest = std::min(oldest, name->snapshot.sequence);
    }
  }
  const View view = look(qmp);
  for (const SnapshotDisk& disk : document.disks) {
    // Without a bitmap of this snapshot the older ones are all that leads to the next.
    const QemuDisk* found = find_disk(view.disks, disk.id);
    if (found != nullptr && !found->format.empty() && disk.tracked) {
      remove_older(qmp, view.graph.at(found->format), snapshot.mark, oldest);
    }
  }
}

void QemuPlatform::delete_snapshot(const std::string& vm, const std::string& snapshot_id) {
  const SnapshotName snapshot = own_snapshot(snapshot_id);
  QmpClient qmp = connect_for_cleanup();
  check_vm(qmp, vm);
  release(qmp, snapshot, m_settings.scratch.directory, m_context.log);
}

const QemuDisk& QemuPlatform::held_disk(const View& view, const SnapshotName& snapshot,
                                        const std::string& disk) const {
  const QemuDisk* found = find_disk(view.disks, disk);
  if (found == nullptr || frozen_node(view.graph, *found, snapshot).empty()) {
    throw Error(ErrorKind::failed,
                "the snapshot " + to_string(snapshot) + " of this disk is not held any more",
                m_settings.vm_name + "/" + disk,
                "QEMU was restarted or the snapshot was ended: make a new one",
                Transience::transient);
  }
  return *found;
}

ReadContext QemuPlatform::read_context() const {
  return {m_settings.qmp, m_settings.nbd_socket, m_context.config.defaults.hamal_lib_dir,
          m_context.log, m_context.cancel};
}

Changes QemuPlatform::full(const SnapshotDisk& disk, const std::string& reason) {
  return {SyncMode::full, reason, open_reader(disk)->allocated()};
}

Changes QemuPlatform::changed_extents(const SnapshotDocument& document, const SnapshotDisk& disk,
                                      const std::string& base) {
  const SnapshotName snapshot = own_snapshot(document.snapshot_id);
  if (base.empty()) {
    return full(disk, "no base");
  }
  if (base == disk.change_id) {
    // A pipe that is run again on a held snapshot: this disk was committed at it.
    return {SyncMode::incremental, "the target is at this snapshot", empty_source()};
  }
  const PlatformData data = parse_platform_data(document.platform_data, document.snapshot_id);
  const View view = now();
  const QemuDisk& held = held_disk(view, snapshot, disk.id);
  const auto lost = data.lost.find(disk.id);
  const BitmapChain chain = find_chain(view.graph.at(held.format).bitmaps, base, disk.change_id,
                                       lost == data.lost.end() ? LostBitmaps{} : lost->second);
  if (!chain.broken.empty()) {
    return full(disk, chain.broken);
  }
  const FrozenDisk frozen = frozen_disk(view.graph, held, snapshot);
  const ReadContext context = read_context();
  auto changed = TemporaryExport::dirty(
      std::make_shared<TemporaryExport>(context, frozen.place, chain.bitmaps, chain.granularity));
  return {SyncMode::incremental,
          fmt::format("changes since {} by {} bitmap{}", base, chain.bitmaps.size(),
                      chain.bitmaps.size() == 1 ? "" : "s"),
          settle(std::move(changed), disk.size, context, frozen.place, frozen.bitmap,
                 frozen.granularity)};
}

std::unique_ptr<BlockReader> QemuPlatform::open_reader(const SnapshotDisk& disk) {
  if (parse_endpoint(disk.source).kind != EndpointKind::nbd) {
    throw Error(ErrorKind::usage, "not an NBD source", disk.source,
                "disks of a qemu platform are read over NBD");
  }
  auto reader =
      std::make_unique<NbdReader>(disk.source, std::vector<std::string>{}, &m_context.cancel);
  if (reader->size() != disk.size) {
    throw Error(
        ErrorKind::failed,
        fmt::format("the export has {} bytes, the snapshot's disk {}", reader->size(), disk.size),
        disk.source, "is nbd_socket the socket of this QEMU?");
  }
  const ReadContext context = read_context();
  return std::make_unique<FrozenReader>(
      std::move(reader),
      [context, source = disk.source, size = disk.size](ExtentSourcePtr claimed) {
        const FrozenDisk frozen = find_by_source(context, source);
        return settle(std::move(claimed), size, context, frozen.place, frozen.bitmap,
                      frozen.granularity);
      });
}

void QemuPlatform::verify_snapshot(const std::string& vm_id_text, const std::string& snapshot_id,
                                   const SnapshotDisk& disk) {
  const SnapshotName snapshot = own_snapshot(snapshot_id);
  const std::string object = m_settings.vm_name + "/" + disk.id;
  {
    QmpClient qmp = connect();
    check_vm(qmp, vm_id_text);
    const View view = look(qmp);
    const QemuDisk& held = held_disk(view, snapshot, disk.id);
    const auto& bitmaps = view.graph.at(held.format).bitmaps;
    const bool sound = std::any_of(bitmaps.begin(), bitmaps.end(), [&](const BitmapState& bitmap) {
      return bitmap.name == disk.change_id && bitmap.recording && !bitmap.inconsistent;
    });
    if (!disk.change_id.empty() && !sound) {
      throw Error(ErrorKind::failed, "the bitmap " + disk.change_id + " does not record any more",
                  object, "something else changed it: make a new snapshot", Transience::transient);
    }
  }
  // Once broken, every read of the frozen view fails: one proves that no earlier one saw later
  // data.
  try {
    std::vector<std::byte> sample(std::min<std::uint64_t>(disk.size, 512));
    if (!sample.empty()) {
      open_reader(disk)->read(0, sample);
    }
  } catch (const Error& error) {
    throw Error(ErrorKind::failed,
                fmt::format("the snapshot {} is broken: {}", snapshot_id, error.what()), object,
                "the scratch file could not be written; was its file system full? make a new "
                "snapshot",
                Transience::transient);
  }
}

}  // namespace

std::unique_ptr<Platform> make_qemu_platform(const std::string& name, const NamedSection& section,
                                             const PlatformContext& context) {
  return std::make_unique<QemuPlatform>(read_settings(name, section, context.config.sync), context);
}

}  // namespace hamal
