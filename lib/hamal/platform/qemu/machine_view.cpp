// Looks at a machine, chooses its disks.
#include "hamal/platform/qemu/machine_view.hpp"

#include <algorithm>
#include <iterator>

#include "hamal/platform/qemu/names.hpp"
#include "hamal/platform/qemu/nbd_export.hpp"

namespace hamal::qemu {
namespace {

constexpr std::size_t k_max_disks = 1000;

std::string names_of(const std::vector<QemuDisk>& disks) {
  std::string names;
  for (const QemuDisk& disk : disks) {
    names += (names.empty() ? "" : ", ") + disk.id;
  }
  return names.empty() ? "none" : names;
}

}  // namespace

View look(QmpClient& qmp) {
  BlockGraph graph = query_block_graph(qmp);
  std::vector<QemuDisk> disks = query_disks(qmp, graph);
  return {std::move(graph), std::move(disks), export_ids(qmp)};
}

const QemuDisk* find_disk(const std::vector<QemuDisk>& disks, const std::string& id) {
  const auto found =
      std::find_if(disks.begin(), disks.end(), [&](const QemuDisk& d) { return d.id == id; });
  return found == disks.end() ? nullptr : &*found;
}

std::vector<QemuDisk> choose_disks(const std::vector<QemuDisk>& disks,
                                   const std::vector<std::string>& wanted, const std::string& vm) {
  std::vector<QemuDisk> chosen;
  if (wanted.empty()) {
    std::copy_if(disks.begin(), disks.end(), std::back_inserter(chosen),
                 [](const QemuDisk& disk) { return disk.protectable; });
    if (chosen.empty()) {
      throw Error(ErrorKind::failed,
                  disks.empty() ? "it has no disks"
                                : "none of its disks can be protected: " + disks.front().id + ": " +
                                      disks.front().reason,
                  vm);
    }
  }
  for (const std::string& id : wanted) {
    const QemuDisk* disk = find_disk(disks, id);
    if (disk == nullptr) {
      throw Error(ErrorKind::usage, "no such disk", vm + "/" + id, "its disks: " + names_of(disks));
    }
    if (!disk->protectable) {
      throw Error(ErrorKind::failed, "cannot be protected: " + disk->reason, vm + "/" + id);
    }
    if (find_disk(chosen, id) == nullptr) {
      chosen.push_back(*disk);
    }
  }
  if (chosen.size() > k_max_disks) {
    throw Error(ErrorKind::failed, "more than 1000 disks in one snapshot", vm);
  }
  return chosen;
}

std::uint32_t next_sequence(const BlockGraph& graph, const std::string& mark) {
  std::uint32_t last = 0;
  const auto see = [&](const std::string& name) {
    if (const auto owned = parse_owned_name(name); owned && owned->snapshot.mark == mark) {
      last = std::max(last, owned->snapshot.sequence);
    }
  };
  for (const auto& [name, node] : graph.nodes()) {
    see(name);
    for (const BitmapState& bitmap : node.bitmaps) {
      see(bitmap.name);
    }
  }
  return last + 1;
}

}  // namespace hamal::qemu
