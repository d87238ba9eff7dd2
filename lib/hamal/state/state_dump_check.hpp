// Whether the values of a state that is to be imported can be ours: the document lay in a file, and
// what is imported decides what is read, resumed and removed.
#pragma once
#include <filesystem>
#include <string>

#include "hamal/state/state_dump.hpp"

namespace hamal {

/// Throws Error(usage) that names the row and the field: a word that none of ours is, a time or a
/// document that is none, a plan that does not lie below `plans` (runs remove it), a clone that is
/// not beside its target. `name` is the document's.
void check_state_dump(const StateDump& dump, const std::filesystem::path& plans,
                      const std::string& name);

}  // namespace hamal
