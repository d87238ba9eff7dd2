// What QEMU says of a machine beside its disks, so that it can be built again.
#pragma once
#include <string>

#include "hamal/platform/qemu/qmp_client.hpp"

namespace hamal::qemu {

/// A JSON object (hamal-stream(5), hardware): architecture, machine type, processors, memory in
/// bytes, network cards with their addresses, QEMU's version; what cannot be asked is left out
/// (qemu-storage-daemon has no machine at all). Throws Error when the monitor is away.
std::string hardware_of(QmpClient& qmp);

}  // namespace hamal::qemu
