// Time since this host was booted, that of its sleep included.
#pragma once
#include <chrono>

namespace hamal {
/// CLOCK_BOOTTIME: never set, and goes on while the host is suspended, unlike std::steady_clock.
std::chrono::nanoseconds boot_time() noexcept;
}  // namespace hamal
