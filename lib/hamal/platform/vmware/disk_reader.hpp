// Which way a frozen disk is read, and why.
#pragma once
#include <memory>
#include <string>

#include "hamal/block/block_reader.hpp"
#include "hamal/platform/platform.hpp"
#include "hamal/platform/vmware/machine.hpp"
#include "hamal/platform/vmware/settings.hpp"
#include "hamal/platform/vmware/vddk_slots.hpp"

namespace hamal::vmware {

/// A disk of a snapshot of ours, as the server has it now.
struct FrozenDisk {
  Machine machine;
  Snapshot snapshot;
  Disk disk;  ///< of the snapshot's configuration
};

struct ReadChoice {
  ReadBy by = ReadBy::https;
  std::string reason;  ///< for people
};

/// As read_by has it: vddk, https, nbd.
const char* word_of(ReadBy by) noexcept;

/// Throws Error, with what to configure, when there is no way that is right.
ReadChoice choose_reader(const Settings& settings, const FrozenDisk& frozen);

/// Opens it that way, and logs the choice. `uri` is the disk's name in messages.
std::unique_ptr<BlockReader> open_disk_reader(const std::shared_ptr<VimClient>& client,
                                              const Settings& settings, const FrozenDisk& frozen,
                                              const std::string& uri, const VddkSlots& slots,
                                              const PlatformContext& context);

}  // namespace hamal::vmware
