// Where a kernel lock counts.
#pragma once
#include <filesystem>
#include <string>

namespace hamal {

/// The same for two processes only if a lock on a file in `folder` by the one excludes the other:
/// one running kernel, one folder. Differs after a reboot. Empty when the kernel does not say.
std::string lock_scope(const std::filesystem::path& folder);

}  // namespace hamal
