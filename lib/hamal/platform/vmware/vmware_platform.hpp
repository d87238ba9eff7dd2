// VMware vCenter, or a single ESXi host.
#pragma once
#include <memory>
#include <string>

#include "hamal/platform/platform.hpp"

namespace hamal {

/// [platform NAME] type = vmware (hamal-vmware(7)). Vms are named by their instance UUID, their
/// object id or their name; disks by their device key; a snapshot of ours by its name; a change id
/// is vSphere's changeId.
std::unique_ptr<Platform> make_vmware_platform(const std::string& name, const NamedSection& section,
                                               const PlatformContext& context);

}  // namespace hamal
