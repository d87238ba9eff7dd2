// What opening the state would find.
#pragma once
#include "hamal/config/config.hpp"

namespace hamal {

struct StateOutlook {
  int schema = 0;  ///< version of its tables; 0 when there are none yet
  int known = 0;   ///< that of this hamal, to which an older one is migrated when it is opened
};

/// Only reads: makes no database and changes no table (SQLite makes the two files beside it that
/// whoever opens it works with, PATH-shm and PATH-wal). Throws what open_state() would throw for a
/// state that this hamal cannot use (state.hpp).
StateOutlook look_at_state(const Config& config);

}  // namespace hamal
