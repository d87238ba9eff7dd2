// Finds the disks in the block graph and says why one cannot be protected.
#include "hamal/platform/qemu/inventory.hpp"

#include <algorithm>
#include <array>
#include <tuple>

#include "hamal/platform/qemu/names.hpp"

namespace hamal::qemu {
namespace {

constexpr std::string_view k_cbw_driver = "copy-before-write";
constexpr const char* k_no_filter =
    "the export is directly on the image, so nothing can be inserted under it: start "
    "qemu-storage-daemon with --blockdev driver=raw,node-name=TOP,file=NODE,discard=unmap and "
    "export "
    "TOP";

bool is_filter(const BlockGraph& graph, const BlockNode& node) {
  static constexpr std::array<std::string_view, 6> k_filters{
      k_cbw_driver, "throttle", "copy-on-read", "compress", "preallocate", "blkdebug"};
  if (std::find(k_filters.begin(), k_filters.end(), node.driver) != k_filters.end()) {
    return true;
  }
  // A raw node right above a protocol node is the image's format, any other one is a filter.
  const BlockNode* child = node.driver == "raw" ? graph.child(node.name) : nullptr;
  return child != nullptr && graph.child(child->name) != nullptr;
}

/// Fills in filter, below, format, cbw; returns why that is impossible, empty when it is not.
std::string walk_down(const BlockGraph& graph, QemuDisk& disk) {
  const BlockNode* node = &graph.at(disk.attached);
  // As many steps as there are nodes: a reply with a circle must not keep us.
  for (std::size_t steps = graph.nodes().size(); steps > 0; --steps) {
    if (node->driver.ends_with("_top") || node->driver == "backup-top") {
      return "a block job (" + node->driver + ") is running on it: wait until it has finished";
    }
    if (!is_filter(graph, *node)) {
      disk.format = node->name;
      disk.below = disk.below.empty() ? disk.attached : disk.below;
      return {};
    }
    const BlockNode* child = graph.child(node->name);
    if (child == nullptr) {
      return "the filter node " + node->name + " stands on nothing";
    }
    if (node->driver == k_cbw_driver && is_hamal_name(node->name)) {
      disk.cbw = node->name;
      disk.below = child->name;
    } else if (node->driver == "raw" && disk.filter.empty() && node->size == child->size) {
      disk.filter = node->name;
      disk.below = child->name;
    }
    node = child;
  }
  return "its nodes form a circle";
}

void judge(const BlockGraph& graph, QemuDisk& disk) {
  disk.reason = walk_down(graph, disk);
  if (!disk.reason.empty()) {
    return;
  }
  const BlockNode& format = graph.at(disk.format);
  disk.size = graph.at(disk.attached).size;
  disk.label = format.file.empty() ? disk.format : format.file;
  disk.persistent = format.driver == "qcow2";
  if (format.read_only || graph.at(disk.attached).read_only) {
    disk.reason = "read-only: nothing changes on it";
  } else if (disk.filter.empty() && disk.device.empty()) {
    disk.reason = k_no_filter;
  } else if (disk.size != format.size) {
    disk.reason = "the guest sees " + std::to_string(disk.size) + " bytes of an image of " +
                  std::to_string(format.size) + ": a part of an image cannot be frozen";
  } else {
    disk.protectable = true;
    disk.reason = disk.persistent
                      ? "changes are tracked in the image"
                      : "changes are tracked only while QEMU runs (" + format.driver +
                            " images keep no bitmaps): after a restart the next run is a full";
  }
}

std::string device_id(const std::string& device, const std::string& backend,
                      const std::string& node) {
  constexpr std::string_view k_named = "/machine/peripheral/";
  if (device.starts_with(k_named)) {
    const std::string rest = device.substr(k_named.size());
    return rest.substr(0, rest.find('/'));
  }
  if (!device.empty() && device.front() != '/') {
    return device;
  }
  // Without an id of its own: what the operator named, before a path that depends on the order.
  if (!backend.empty()) {
    return backend;
  }
  return node.empty() || node.front() == '#' ? device : node;
}

QemuDisk device_disk(const BlockGraph& graph, const Json& entry, const std::string& where) {
  QemuDisk disk;
  disk.device = json_string_or_empty(entry, "qdev", where);
  const std::string backend = json_string_or_empty(entry, "device", where);
  const auto inserted = entry.find("inserted");
  if (inserted != entry.end()) {
    disk.attached = json_string(*inserted, "node-name", where);
  }
  disk.id = device_id(disk.device, backend, disk.attached);
  disk.label = disk.id;
  if (inserted == entry.end()) {
    disk.reason = "the drive is empty";
  } else if (disk.device.empty()) {
    disk.reason = "no device of the guest uses it";
  } else {
    judge(graph, disk);
  }
  if (!disk.device.empty() && disk.device.front() != '/') {
    disk.device = "/machine/peripheral/" + disk.device;
  }
  return disk;
}

QemuDisk export_disk(const BlockGraph& graph, const std::string& id, const std::string& node) {
  QemuDisk disk;
  disk.attached = node;
  disk.id = node.empty() || node.front() == '#' ? id : node;
  disk.label = disk.id;
  judge(graph, disk);
  if (disk.protectable && !graph.written(node)) {
    disk.protectable = false;
    disk.reason = "exported read-only: nothing changes on it";
  }
  return disk;
}

}  // namespace

std::vector<QemuDisk> find_disks(const BlockGraph& graph, const Json& block, const Json& exports,
                                 const std::string& where) {
  std::vector<QemuDisk> disks;
  for (const Json& entry : json_array(block, where)) {
    disks.push_back(device_disk(graph, entry, where));
  }
  for (const Json& entry : json_array(exports, where)) {
    const std::string id = json_string(entry, "id", where);
    const std::string node = json_string(entry, "node-name", where);
    const bool known = std::any_of(disks.begin(), disks.end(), [&](const QemuDisk& disk) {
      return disk.attached == node || disk.format == node;
    });
    // What a snapshot of ours exports is no disk of the machine.
    if (!known && !is_hamal_name(id) && graph.find(node) != nullptr) {
      disks.push_back(export_disk(graph, id, node));
    }
  }
  std::sort(disks.begin(), disks.end(), [](const QemuDisk& a, const QemuDisk& b) {
    return std::tuple(a.id.size(), a.id) < std::tuple(b.id.size(), b.id);
  });
  return disks;
}

std::vector<QemuDisk> query_disks(QmpClient& qmp, const BlockGraph& graph) {
  const Json block = qmp.execute_if_known("query-block").value_or(Json::array());
  const Json exports = qmp.execute_if_known("query-block-exports").value_or(Json::array());
  return find_disks(graph, block, exports, qmp.monitor());
}

}  // namespace hamal::qemu
