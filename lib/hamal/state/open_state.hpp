// The state over a connection that waits for less, or more, than usual.
#pragma once
#include "hamal/state/patience.hpp"
#include "hamal/state/state.hpp"

namespace hamal {

/// As those of state.hpp.
std::unique_ptr<State> open_state(const std::string& connection, const std::string& password,
                                  const Patience& patience);
std::unique_ptr<State> open_state(const Config& config, const Patience& patience);

/// That of the configuration although it was moved: to be exported (again).
std::unique_ptr<State> open_moved_state(const Config& config);
/// From here on open_state() refuses it. `when` is RFC 3339. False when it did before.
bool mark_state_moved(const Config& config, const std::string& when);
/// Undoes that; false when it was not moved.
bool reopen_state(const Config& config);

}  // namespace hamal
