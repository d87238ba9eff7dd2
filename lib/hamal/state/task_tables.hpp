// The tables of the console's tasks.
#pragma once

namespace hamal {

/// Version 4 of the schema.
inline constexpr const char* k_tasks_table =
    R"(CREATE TABLE tasks (
         proxy TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, job TEXT NOT NULL,
         platform TEXT NOT NULL, vm_id TEXT NOT NULL, vm_name TEXT NOT NULL, run_id TEXT NOT NULL,
         started TEXT NOT NULL, PRIMARY KEY (proxy, id)))";
inline constexpr const char* k_task_reports_table =
    R"(CREATE TABLE task_reports (
         proxy TEXT NOT NULL, number BIGINT NOT NULL, task TEXT NOT NULL, report_key TEXT NOT NULL,
         body TEXT NOT NULL, PRIMARY KEY (proxy, number)))";

}  // namespace hamal
