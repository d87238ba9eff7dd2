// A checkpoint as JSON: what `hamal-sync checkpoint show --json` prints and `hamal-cbt-read
// --checkpoint` takes.
#pragma once
#include <string>
#include <string_view>

#include "hamal/state/state.hpp"

namespace hamal {

/// One line, newline-terminated: format "hamal-checkpoint", version 1, state "committed".
std::string to_json(const Checkpoint& checkpoint);
/// The same with state "in progress" and "in_progress": that the target is no restore point, since
/// when, and whether it can be rolled back. parse_checkpoint() takes no notice of it.
std::string to_json(const Checkpoint& checkpoint, const InProgress& mark, bool can_roll_back);
/// Throws Error(usage) that names the field. `name` is where the text came from.
Checkpoint parse_checkpoint(std::string_view json, const std::string& name);

}  // namespace hamal
