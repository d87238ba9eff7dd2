// What this host is called.
#pragma once
#include <string>

namespace hamal {
/// Of uname -n; empty when the kernel does not say.
std::string host_name();
}  // namespace hamal
