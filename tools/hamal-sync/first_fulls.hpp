// First fulls that have not committed: a mark and no checkpoint. They are listed beside the
// checkpoints, so that an operator sees what a target holds and can forget it.
#pragma once
#include <vector>

#include "hamal/state/state.hpp"

namespace hamal {

/// Adds them, each as a checkpoint of generation 0 without size and time. Its target URI is the
/// canonical one: a mark does not know how the operator wrote it.
void add_first_fulls(std::vector<Checkpoint>& checkpoints, State& state);

inline bool is_first_full(const Checkpoint& checkpoint) {
  return checkpoint.generation == 0;
}

}  // namespace hamal
