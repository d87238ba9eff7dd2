// Brings a database to the tables of this version, or finds that it may stay as it is.
#pragma once
#include "hamal/state/database.hpp"

namespace hamal {

/// One transaction; several processes may do it at once. A database of a newer version is left
/// alone and used when that version says that this one may (schema.hpp), else Error(failed).
void migrate(Database& database);

/// The version of its tables, 0 when it has none; changes nothing. Throws what migrate() would
/// throw for one that this version cannot use.
int schema_of(Database& database);

}  // namespace hamal
