// Reads a frozen disk over the socket of a host, by a backup resource.
#pragma once
#include <memory>
#include <string>

#include "hamal/platform/fusioncompute/disk_reader.hpp"

namespace hamal::fusioncompute {

/// Asks for nothing: open_queue() waits for a slot of the host and prepares the resource, and both
/// are released with the reader.
/// Throws Error(usage) when local_host_ip is not set.
std::unique_ptr<BlockReader> open_vna_reader(std::shared_ptr<VrmClient> client,
                                             const Settings& settings, const FrozenDisk& frozen,
                                             std::uint64_t size, const std::string& uri,
                                             const HostSlots& slots,
                                             const PlatformContext& context);

}  // namespace hamal::fusioncompute
