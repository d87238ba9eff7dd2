// Versions of a repository as snapshots: what restores read.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "hamal/platform/platform.hpp"

namespace hamal {

/// Whether a platform's name is a repository's endpoint ("dir:/backups", "s3://NAME/PREFIX"): such
/// a platform needs no section.
bool is_repository_uri(std::string_view name);

/// [platform NAME] type = repository: `endpoint` names it. A vm's id is its platform and its id
/// there, "esx/vm-42". Its versions are its snapshots, by generation: they are always there, so
/// creating one only chooses it (SnapshotOptions::at) and finishing it does nothing. A disk's
/// change id names its version and what is in it, and the difference of two versions is exact.
std::unique_ptr<Platform> make_repository_platform(const std::string& name,
                                                   const NamedSection& section,
                                                   const PlatformContext& context);

}  // namespace hamal
