// The state in the tables of a database.
#pragma once
#include <memory>

#include "hamal/state/database.hpp"
#include "hamal/state/state.hpp"

namespace hamal {

/// Migrates the tables first.
std::unique_ptr<State> make_state(std::unique_ptr<Database> database);

}  // namespace hamal
