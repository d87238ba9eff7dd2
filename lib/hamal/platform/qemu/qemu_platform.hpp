// The platform `qemu`: a running QEMU or qemu-storage-daemon, by its QMP socket.
#pragma once
#include <memory>
#include <string>

#include "hamal/platform/platform.hpp"

namespace hamal {

/// [platform NAME] type=qemu. Keys: qmp (socket; required), nbd_socket (required), vm (name;
/// default NAME), vm_id (default: QEMU's uuid, else the name), scratch_dir (as QEMU sees it;
/// default [sync] scratch_dir), scratch_min_free (1G), qmp_timeout (15s: how long to wait for our
/// turn at the monitor). Nothing is contacted yet. Throws Error(usage) for a wrong section.
std::unique_ptr<Platform> make_qemu_platform(const std::string& name, const NamedSection& section,
                                             const PlatformContext& context);

}  // namespace hamal
