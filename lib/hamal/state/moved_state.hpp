// A state that was moved to another database: nobody works with the old one any more, and who tries
// is told (hamal-period(1), MOVING THE STATE).
#pragma once
#include <string>

#include "hamal/state/database.hpp"

namespace hamal {

/// Throws Error(usage) that says when it was.
void require_not_moved(Database& database);
/// False when it was before; `when` does not change then.
bool mark_moved(Database& database, const std::string& when);
/// False when it was not.
bool forget_move(Database& database);

}  // namespace hamal
