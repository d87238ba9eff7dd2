// Whether the values of a state that is to be imported can be ours: the document lay in a file, and
// what is imported decides what is read, resumed and removed.
#pragma once
#include <filesystem>
#include <string>

#include "hamal/state/state_dump.hpp"

namespace hamal {

/// Throws Error(usage) that names the row and the field: a word that none of ours is, a time or a
/// document that is none, a plan that is not absolute and normal, a clone that is not beside its
/// target. `name` is the document's.
void check_state_dump(const StateDump& dump, const std::string& name);

/// Blanks every plan that does not lie below `plans`, since runs remove it: that of another proxy,
/// or no plan at all. What went on by it is a full then. Returns how many. For a checked dump.
std::size_t forget_foreign_plans(StateDump& dump, const std::filesystem::path& plans);

}  // namespace hamal
