// What this host is like just now.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "hamal/mass/messages.hpp"

namespace hamal::mass {

/// Zero is what the kernel does not tell.
Load host_load();
/// nullopt when there is no such path.
std::optional<DiskSpace> disk_space(const std::string& path);
/// Of the interfaces that are up, without loopback and link-local ones, sorted.
std::vector<std::string> host_addresses();

}  // namespace hamal::mass
