// Reads a disk over https, from the datastore's /folder: right for a vm that is off and has no
// snapshots but ours, whose flat extent then is the frozen disk.
#pragma once
#include <memory>
#include <string>

#include "hamal/block/block_reader.hpp"
#include "hamal/platform/vmware/machine.hpp"
#include "hamal/platform/vmware/vim_client.hpp"

namespace hamal::vmware {

/// Whether dcPath and dsName are percent-encoded twice, as vCenter wants them.
enum class FolderEncoding { single, twice };

/// Why that disk of our snapshot cannot be read so; empty when it can be tried. `disk` is that of
/// the snapshot's configuration.
std::string why_not_folder(const Machine& machine, const Disk& disk);

/// The path and query of the flat extent of "[datastore] folder/name.vmdk".
std::string folder_path(const std::string& file, const std::string& datacenter,
                        FolderEncoding encoding);

/// The path of the datacenter that the host is in, as dcPath has it.
std::string datacenter_path(VimClient& client, const std::string& host);

/// Reads its first bytes, which must be those of a file of that size. `max_request` in bytes.
/// Throws Error that says how else the disk can be read.
std::unique_ptr<BlockReader> open_folder_reader(std::shared_ptr<VimClient> client,
                                                const std::string& uri, const std::string& path,
                                                std::uint64_t size, std::uint32_t max_request);

}  // namespace hamal::vmware
