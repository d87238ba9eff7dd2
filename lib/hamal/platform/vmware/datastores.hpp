// The free space of the datastores on which the snapshots of disks grow.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hamal/platform/vmware/machine.hpp"
#include "hamal/report/log.hpp"

namespace hamal::vmware {

/// The first of the disks' datastores with less free space than that, in bytes, for people; empty:
/// there is none. One that the user may not read is passed over, and logged.
std::string why_low(VimClient& client, const std::vector<Disk>& disks, std::uint64_t min_free,
                    Logger& log);

}  // namespace hamal::vmware
