// Huawei FusionCompute, by its VRM.
#pragma once
#include <memory>
#include <string>

#include "hamal/platform/platform.hpp"

namespace hamal {

/// [platform NAME] type = fusion_compute (hamal-fusioncompute(7)). Vms are named by their UUID, URN
/// or name; disks by their slot ("disk1"); a snapshot of ours by its name; a change id is that of
/// fusioncompute/change_id.hpp.
std::unique_ptr<Platform> make_fusioncompute_platform(const std::string& name,
                                                      const NamedSection& section,
                                                      const PlatformContext& context);

}  // namespace hamal
