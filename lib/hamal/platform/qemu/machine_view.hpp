// A machine as it is at one moment, and questions about it that need no QEMU.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hamal/platform/qemu/inventory.hpp"

namespace hamal::qemu {

struct View {
  BlockGraph graph;
  std::vector<QemuDisk> disks;
  std::vector<std::string> exports;  ///< ids
};

View look(QmpClient& qmp);

/// nullptr when there is none of that id.
const QemuDisk* find_disk(const std::vector<QemuDisk>& disks, const std::string& id);

/// The wanted disks, or all protectable ones when none is named; throws Error that says why not.
std::vector<QemuDisk> choose_disks(const std::vector<QemuDisk>& disks,
                                   const std::vector<std::string>& wanted, const std::string& vm);

/// One more than that of any name of this installation that is still there.
std::uint32_t next_sequence(const BlockGraph& graph, const std::string& mark);

}  // namespace hamal::qemu
