// Whether a target is another disk's: neither that disk's replica is lost by a slip of the pattern,
// nor is its checkpoint believed afterwards.
#pragma once
#include <string>
#include <vector>

#include "hamal/state/state.hpp"
#include "hamal/target/target.hpp"

namespace hamal {

/// A disk that the state knows on the target, and that is given up by --force.
struct GivenUp {
  DiskIdentity disk;
  std::string words;  ///< what is overridden
  std::string proxy;  ///< which wrote it; empty: not known
};

/// Throws Error(wrong_target) when the state knows the target of `disk` as another disk's, complete
/// or half written. With force: what of that is overridden. Nothing is forgotten yet
/// (State::mark_in_progress does). `uri` is the target as messages name it.
std::vector<GivenUp> require_own_target(State& state, const DiskIdentity& disk,
                                        const std::string& uri, Force force);

}  // namespace hamal
