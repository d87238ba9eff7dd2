// Scratch files: where QEMU saves what the guest overwrites while a snapshot is held.
#pragma once
#include <cstdint>
#include <string>

#include "hamal/platform/qemu/inventory.hpp"
#include "hamal/report/log.hpp"

namespace hamal::qemu {

struct ScratchSettings {
  std::string directory;                ///< as QEMU sees it
  std::string platform;                 ///< whose files they are: several may share a directory
  std::uint64_t min_free = 1ULL << 30;  ///< bytes
};

/// Refuses below the floor of free space; a directory that only QEMU sees cannot be checked.
void check_scratch_space(const ScratchSettings& settings, Logger& log);

/// SNAPSHOT-N-DISK@PLATFORM.scratch; what a file name cannot hold becomes "_".
std::string scratch_file_name(const std::string& snapshot_id, std::size_t index,
                              const std::string& disk, const std::string& platform);

/// Makes disk number `index`'s scratch file and node of the snapshot. A sparse raw file where the
/// file system takes one of the disk's size, else qcow2.
void add_scratch(QmpClient& qmp, const ScratchSettings& settings, const std::string& snapshot_id,
                 std::size_t index, const QemuDisk& disk);

/// Removes the snapshot's files from a directory, when we can see it. Never throws: a file left
/// behind is worth a warning, not a failed run.
void remove_scratch_files(const std::string& directory, const std::string& snapshot_id,
                          Logger& log) noexcept;

/// Removes what creates of this platform that were killed left behind, files that no node uses yet.
/// For a caller that knows that no snapshot is held. `mark` is the installation's.
void remove_leftover_scratch(const ScratchSettings& settings, const std::string& mark,
                             Logger& log) noexcept;

}  // namespace hamal::qemu
