// The order of freezing and releasing.
#include "hamal/platform/qemu/freeze.hpp"

#include <algorithm>
#include <filesystem>

#include "hamal/platform/qemu/nbd_export.hpp"
#include "hamal/platform/qemu/nodes.hpp"
#include "hamal/util/random_id.hpp"
#include "hamal/util/time.hpp"

namespace hamal::qemu {
namespace {

bool has_kind(const OwnedName& name, NodeKind kind) {
  return !name.rest.empty() && name.rest.front() == static_cast<char>(kind);
}

/// The names of a snapshot's nodes of one kind.
std::vector<std::string> nodes_of(const BlockGraph& graph, const SnapshotName& snapshot,
                                  NodeKind kind) {
  std::vector<std::string> names;
  for (const auto& [name, node] : graph.nodes()) {
    if (const auto owned = parse_owned_name(name);
        owned && owned->snapshot == snapshot && has_kind(*owned, kind)) {
      names.push_back(name);
    }
  }
  return names;
}

void add_filter(QmpClient& qmp, const std::string& id, std::size_t index, const QemuDisk& disk) {
  qmp.execute("blockdev-add", {{"driver", "copy-before-write"},
                               {"node-name", node_name(id, NodeKind::filter, index)},
                               {"file", disk.below},
                               {"target", node_name(id, NodeKind::scratch, index)},
                               {"on-cbw-error", "break-snapshot"},
                               {"discard", "unmap"}});
}

void insert_missing_filters(QmpClient& qmp, const std::string& mark, std::vector<QemuDisk>& disks) {
  for (QemuDisk& disk : disks) {
    if (disk.filter.empty()) {
      disk.filter = top_filter_name(mark, random_hex(6));
      insert_top_filter(qmp, disk.device, disk.attached, disk.filter);
    }
  }
}

void delete_nodes(QmpClient& qmp, const BlockGraph& graph, const SnapshotName& snapshot,
                  NodeKind kind) {
  for (const std::string& name : nodes_of(graph, snapshot, kind)) {
    delete_node(qmp, name);
  }
}

/// What stands on a copy-before-write node of the snapshot stands on the disk again.
void take_filters_out(QmpClient& qmp, const BlockGraph& graph, const SnapshotName& snapshot) {
  std::vector<Redirect> redirects;
  for (const std::string& cbw : nodes_of(graph, snapshot, NodeKind::filter)) {
    const BlockNode* below = graph.child(cbw);
    for (const std::string& parent : graph.parents(cbw)) {
      if (below != nullptr && graph.at(parent).driver == "raw") {
        redirects.push_back({parent, below->name});
      }
    }
  }
  redirect_filters(qmp, graph, redirects);
}

void remove_files(const BlockGraph& graph, const SnapshotName& snapshot,
                  const std::string& scratch_directory, Logger& log) {
  std::vector<std::string> directories{scratch_directory};
  for (const NodeKind kind : {NodeKind::scratch, NodeKind::scratch_file}) {
    // The configuration may have changed since: QEMU knows where the file lies.
    for (const std::string& name : nodes_of(graph, snapshot, kind)) {
      directories.push_back(std::filesystem::path(graph.at(name).file).parent_path().string());
    }
  }
  std::sort(directories.begin(), directories.end());
  directories.erase(std::unique(directories.begin(), directories.end()), directories.end());
  for (const std::string& directory : directories) {
    if (!directory.empty()) {
      remove_scratch_files(directory, to_string(snapshot), log);
    }
  }
}

}  // namespace

std::string freeze(QmpClient& qmp, const FreezeRequest& request,
                   std::vector<BitmapHandover>& handovers) {
  const std::string id = to_string(request.snapshot);
  std::vector<QemuDisk> disks = request.disks;
  insert_missing_filters(qmp, request.snapshot.mark, disks);
  std::vector<Redirect> redirects;
  for (std::size_t index = 0; index < disks.size(); ++index) {
    add_scratch(qmp, request.scratch, id, index, disks[index]);
    add_filter(qmp, id, index, disks[index]);
    redirects.push_back({disks[index].filter, node_name(id, NodeKind::filter, index)});
  }
  const BlockGraph graph = query_block_graph(qmp);
  for (const QemuDisk& disk : disks) {
    add_bitmap(qmp, disk, graph.at(disk.format), request.snapshot, handovers.emplace_back());
  }
  redirect_filters(qmp, graph, redirects);
  std::string frozen_at = rfc3339(system_clock().wall());
  for (BitmapHandover& handover : handovers) {
    disable_previous(qmp, handover);
  }
  for (std::size_t index = 0; index < disks.size(); ++index) {
    qmp.execute("blockdev-add", {{"driver", "snapshot-access"},
                                 {"node-name", node_name(id, NodeKind::frozen, index)},
                                 {"file", node_name(id, NodeKind::filter, index)}});
    add_export(qmp,
               {node_name(id, NodeKind::frozen_export, index),
                node_name(id, NodeKind::frozen, index),
                {},
                {}},
               request.nbd_socket, request.snapshot.mark);
  }
  return frozen_at;
}

void release(QmpClient& qmp, const SnapshotName& snapshot, const std::string& scratch_directory,
             Logger& log) {
  remove_exports(qmp, snapshot);
  dismiss_jobs(qmp, to_string(snapshot));
  const BlockGraph graph = query_block_graph(qmp);
  for (const auto& [name, node] : graph.nodes()) {
    remove_read_bitmaps(qmp, node, snapshot);
  }
  delete_nodes(qmp, graph, snapshot, NodeKind::frozen);
  take_filters_out(qmp, graph, snapshot);
  delete_nodes(qmp, graph, snapshot, NodeKind::filter);
  delete_nodes(qmp, graph, snapshot, NodeKind::scratch);
  delete_nodes(qmp, graph, snapshot, NodeKind::scratch_file);
  remove_files(graph, snapshot, scratch_directory, log);
  stop_idle_server(qmp, snapshot.mark);
}

std::vector<SnapshotName> held_snapshots(const BlockGraph& graph,
                                         const std::vector<std::string>& exports) {
  std::vector<SnapshotName> held;
  const auto collect = [&](const std::string& name) {
    const auto owned = parse_owned_name(name);
    if (owned && std::find(held.begin(), held.end(), owned->snapshot) == held.end()) {
      held.push_back(owned->snapshot);
    }
  };
  for (const auto& [name, node] : graph.nodes()) {
    collect(name);
  }
  for (const std::string& id : exports) {
    collect(id);
  }
  return held;
}

std::string frozen_node(const BlockGraph& graph, const QemuDisk& disk,
                        const SnapshotName& snapshot) {
  const auto owned = parse_owned_name(disk.cbw);
  if (!owned || owned->snapshot != snapshot) {
    return {};
  }
  for (const std::string& parent : graph.parents(disk.cbw)) {
    if (const auto frozen = parse_owned_name(parent);
        frozen && frozen->snapshot == snapshot && has_kind(*frozen, NodeKind::frozen)) {
      return parent;
    }
  }
  return {};
}

}  // namespace hamal::qemu
