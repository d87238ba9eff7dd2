// [database] connection = postgresql://…, understood by libpq, with what we add to it.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "hamal/state/patience.hpp"

namespace hamal {

/// keyword and value, as libpq names them; each keyword once.
using PostgresqlParameters = std::vector<std::pair<std::string, std::string>>;

/// Those of the URL, and defaults for what it does not say: short waits, a server that takes
/// writes, and one on another host is reached by TLS that verifies who it is. `password` is used
/// when the URL has none. Throws Error(usage) for what is no URL of libpq, without quoting it.
PostgresqlParameters postgresql_parameters(const std::string& url, const std::string& password);

/// Bounds what an attempt to connect and a reply may take, where `patience` does and what the
/// parameters say is more, or nothing.
void be_patient(PostgresqlParameters& parameters, const Patience& patience);
/// keyword='value' for every parameter.
std::string connection_string(const PostgresqlParameters& parameters);
/// As messages name it; never with a password.
std::string connection_name(const PostgresqlParameters& parameters);

}  // namespace hamal
