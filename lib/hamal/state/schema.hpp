// The tables, version by version.
#pragma once
#include "hamal/state/lease_table.hpp"
#include "hamal/state/task_tables.hpp"

namespace hamal {

/// Raised with every change of the tables; an older database is migrated.
inline constexpr int k_schema_version = 5;
/// The oldest hamal, by its schema version, that goes on working with the tables of this version:
/// what k_migrations holds only adds.
inline constexpr int k_oldest_hamal = 1;
/// The same of a database that several hosts share: an older hamal takes no leases, and does not
/// say whose a target is.
inline constexpr int k_oldest_hamal_shared = 5;

/// Version 1.
inline constexpr const char* k_schema[] = {
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    R"(CREATE TABLE checkpoints (
         platform TEXT NOT NULL, vm_id TEXT NOT NULL, disk_id TEXT NOT NULL, target TEXT NOT NULL,
         vm_name TEXT NOT NULL, change_id TEXT NOT NULL, snapshot_id TEXT NOT NULL,
         generation BIGINT NOT NULL, size BIGINT NOT NULL, committed TEXT NOT NULL,
         target_uri TEXT NOT NULL, PRIMARY KEY (platform, vm_id, disk_id, target)))",
    R"(CREATE TABLE in_progress (
         platform TEXT NOT NULL, vm_id TEXT NOT NULL, disk_id TEXT NOT NULL, target TEXT NOT NULL,
         mode TEXT NOT NULL, base_change_id TEXT NOT NULL, change_id TEXT NOT NULL,
         snapshot_id TEXT NOT NULL, plan_path TEXT NOT NULL, started TEXT NOT NULL,
         PRIMARY KEY (platform, vm_id, disk_id, target)))",
    R"(CREATE TABLE snapshots (
         platform TEXT NOT NULL, snapshot_id TEXT NOT NULL, vm_id TEXT NOT NULL,
         state TEXT NOT NULL, created TEXT NOT NULL, document TEXT NOT NULL,
         PRIMARY KEY (platform, snapshot_id)))",
};

/// What each version added to the one before it: only tables, and columns with defaults, so that an
/// older hamal still reads and writes what it knows. The statements of version N are k_migrations[N
/// - 2]; the rest of a row is null.
inline constexpr const char* k_migrations[k_schema_version - 1][5] = {
    {"ALTER TABLE in_progress ADD COLUMN target_created INTEGER NOT NULL DEFAULT 0",
     "ALTER TABLE in_progress ADD COLUMN finished TEXT NOT NULL DEFAULT ''",
     "ALTER TABLE in_progress ADD COLUMN restore_path TEXT NOT NULL DEFAULT ''",
     "ALTER TABLE checkpoints ADD COLUMN disk_flag TEXT NOT NULL DEFAULT ''",
     "ALTER TABLE checkpoints ADD COLUMN released TEXT NOT NULL DEFAULT ''"},
    {R"(CREATE TABLE runs (
          job TEXT NOT NULL, platform TEXT NOT NULL, vm_id TEXT NOT NULL, vm_name TEXT NOT NULL,
          state TEXT NOT NULL, run_id TEXT NOT NULL, started TEXT NOT NULL, ended TEXT NOT NULL,
          last_success TEXT NOT NULL, mode TEXT NOT NULL, bytes BIGINT NOT NULL,
          duration_ms BIGINT NOT NULL, failures BIGINT NOT NULL, last_error TEXT NOT NULL,
          next_run TEXT NOT NULL, PRIMARY KEY (job, platform, vm_id)))"},
    {k_tasks_table, k_task_reports_table},
    {k_leases_table, "ALTER TABLE checkpoints ADD COLUMN proxy TEXT NOT NULL DEFAULT ''",
     "ALTER TABLE in_progress ADD COLUMN proxy TEXT NOT NULL DEFAULT ''",
     "ALTER TABLE tasks ADD COLUMN ended TEXT NOT NULL DEFAULT ''"},
};

}  // namespace hamal
