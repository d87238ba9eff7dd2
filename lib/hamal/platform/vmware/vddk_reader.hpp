// Reads a disk through nbdkit's vddk plugin and VMware's VDDK, which the operator brings: the one
// documented way for running vms, chains of snapshots, vSAN and encrypted disks.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "hamal/block/block_reader.hpp"
#include "hamal/platform/vmware/machine.hpp"
#include "hamal/platform/vmware/settings.hpp"
#include "hamal/platform/vmware/vddk_slots.hpp"

namespace hamal::vmware {

/// The plugin's parameters for that disk of the snapshot's configuration.
std::vector<std::string> vddk_parameters(const Settings& settings, const Machine& machine,
                                         const ManagedObject& snapshot, const Disk& disk);

/// Nothing is opened before it is read, or asked what is allocated: then it waits for a slot, and
/// throws what VddkSlots::take() and NbdkitProcess throw. `max_request` in bytes. What is given by
/// reference outlives the reader.
std::unique_ptr<BlockReader> open_vddk_reader(const Settings& settings, ApiType server,
                                              const Machine& machine, const ManagedObject& snapshot,
                                              const Disk& disk, const std::string& uri,
                                              std::uint32_t max_request, const VddkSlots& slots,
                                              const CancelToken& cancel);

}  // namespace hamal::vmware
