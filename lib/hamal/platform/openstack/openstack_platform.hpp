// OpenStack with its disks in Ceph: Nova and Cinder say what there is and make snapshots, what
// changed and the bytes come from Ceph itself (hamal-openstack(7)).
#pragma once
#include <memory>
#include <string>

#include "hamal/platform/platform.hpp"

namespace hamal {

std::unique_ptr<Platform> make_openstack_platform(const std::string& name,
                                                  const NamedSection& section,
                                                  const PlatformContext& context);

}  // namespace hamal
