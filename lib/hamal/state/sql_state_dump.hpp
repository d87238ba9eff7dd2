// All rows of a database out of it, and into an empty one.
#pragma once
#include "hamal/state/database.hpp"
#include "hamal/state/state_dump.hpp"

namespace hamal {

/// As of one moment.
StateDump dump_rows(Database& database);
/// In one transaction. Throws Error(failed) when there are rows already.
void load_rows(Database& database, const StateDump& dump);

}  // namespace hamal
