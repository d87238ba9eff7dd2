// Reads a disk through nbdkit's vddk plugin and VMware's VDDK, which the operator brings: the one
// documented way for running vms, chains of snapshots, vSAN and encrypted disks.
#pragma once
#include <memory>
#include <string>

#include "hamal/block/block_reader.hpp"
#include "hamal/platform/vmware/machine.hpp"
#include "hamal/platform/vmware/settings.hpp"
#include "hamal/util/file_lock.hpp"

namespace hamal::vmware {

/// VDDK opens an NFC connection per disk to the vm's ESXi host, which has few: a slot is a file
/// that is locked while one is used, by whatever process of this proxy. Waits for a free one.
FileLock take_host_slot(const std::string& lib_dir, const std::string& host, unsigned slots,
                        const CancelToken& cancel);

/// The plugin's parameters for that disk of the snapshot's configuration.
std::vector<std::string> vddk_parameters(const Settings& settings, const Machine& machine,
                                         const ManagedObject& snapshot, const Disk& disk);

/// `lib_dir` is where the slots are. `max_request` in bytes.
std::unique_ptr<BlockReader> open_vddk_reader(const Settings& settings, const Machine& machine,
                                              const ManagedObject& snapshot, const Disk& disk,
                                              const std::string& uri, const std::string& lib_dir,
                                              std::uint32_t max_request, const CancelToken& cancel);

}  // namespace hamal::vmware
