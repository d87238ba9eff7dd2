// Which disks a QEMU or a qemu-storage-daemon has, and how each can be frozen.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hamal/platform/qemu/block_graph.hpp"

namespace hamal::qemu {

/// One disk, from what uses it down to where its changes are tracked:
///
///   device or export → attached … filter → [our copy-before-write] → below … format
struct QemuDisk {
  std::string id;
  std::string label;
  std::uint64_t size = 0;   ///< bytes
  std::string device;       ///< QOM path of the guest's device; empty for an export
  std::string attached;     ///< the node that the device or the export uses
  std::string filter;       ///< the `raw` node above `below`; empty: one must be inserted first
  std::string below;        ///< the node that is frozen
  std::string format;       ///< the node that carries the bitmaps
  std::string cbw;          ///< a copy-before-write node of ours between filter and below
  bool persistent = false;  ///< the format keeps bitmaps across restarts of QEMU
  bool protectable = false;
  std::string reason;
};

/// `block` and `exports` are the replies of query-block and query-block-exports (empty lists where
/// the command does not exist). In a stable order.
std::vector<QemuDisk> find_disks(const BlockGraph& graph, const Json& block, const Json& exports,
                                 const std::string& where);
std::vector<QemuDisk> query_disks(QmpClient& qmp, const BlockGraph& graph);

}  // namespace hamal::qemu
