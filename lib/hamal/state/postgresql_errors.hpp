// What PostgreSQL's errors mean to an operator.
#pragma once
#include <string>

#include "hamal/state/patience.hpp"
#include "hamal/util/error.hpp"

namespace hamal {

/// Of a connection that was not made; `text` is libpq's.
Error why_no_connection(const std::string& text, const std::string& name);
/// Of a statement; `state` is its SQLSTATE.
Error meaning_of(const std::string& state, const std::string& text, const std::string& name,
                 const Patience& patience);

}  // namespace hamal
