// The table of leases.
#pragma once

namespace hamal {

/// Version 5 of the schema. A row stays when its lease is released, for the sake of its token.
/// `expires` is in milliseconds since 1970 of the database's clock.
inline constexpr const char* k_leases_table =
    R"(CREATE TABLE leases (
         platform TEXT NOT NULL, vm_id TEXT NOT NULL, owner TEXT NOT NULL, host TEXT NOT NULL,
         proxy TEXT NOT NULL, scope TEXT NOT NULL, token BIGINT NOT NULL, expires BIGINT NOT NULL,
         PRIMARY KEY (platform, vm_id)))";

}  // namespace hamal
