// Passwords stay out of core dumps.
#pragma once

namespace hamal {

/// From now on this process leaves no core dump, and other processes of its user cannot look into
/// its memory; the programs that it starts leave none either. For whoever holds a password. May be
/// repeated; thread-safe; never fails.
void forbid_core_dumps() noexcept;

}  // namespace hamal
